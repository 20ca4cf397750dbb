"""The labels that the configuration chooses: user, machine, branch and organization.

They come from the configuration, from files of the user's home folder and from the host name. A repository decides nothing but the name of
its branch: the ``user`` section of its own git configuration does not count, because a cloned repository could bring one.
"""

from __future__ import annotations

import configparser
import functools
import hashlib
import hmac
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from claude_hooks_otel.foreign_files import in_time, read_regular
from claude_hooks_otel.metrics.labels import CHOSEN_LABELS, UNMEASURED, normalize_optional
from claude_hooks_otel.settings import Config, LabelsConfig
from claude_hooks_otel.sources.client_account import read_account
from claude_hooks_otel.tool_effects.git_config import config_value
from claude_hooks_otel.tool_effects.git_repository import current_branch

# Seconds after which the user's files, and the branch of a folder, are read again.
KEPT_FOR: Final = 60.0
BRANCH_KEPT_FOR: Final = 0.5
# Folders whose branch is kept.
_MOST_FOLDERS: Final = 1024
# Bytes of a git configuration, files that include one another, and hexadecimal digits of a hashed user.
_MOST_CONFIG: Final = 1 << 18
_MOST_INCLUDES: Final = 5
_DIGITS: Final = 16


class ChosenLabels:
    """Gives the chosen labels of an event.

    Args:
        config: what the owner has set.
        folder: the user's home folder.
        seconds: the monotonic clock, seconds.
    """

    def __init__(self, config: Config, folder: Path, seconds: Callable[[], float] = time.monotonic) -> None:
        self._labels, self._given = config.labels, config.identity
        self._folder, self._seconds = folder, seconds
        self._is_chosen = {name: name in config.labels.chosen for name in CHOSEN_LABELS}
        self._looked_at = float("-inf")
        self._found: dict[str, str | None] = {}
        self._branches: dict[str, tuple[float, str | None]] = {}

    def of(self, headers: Mapping[str, str], directory: str | None) -> dict[str, str | None]:
        """Return the chosen labels as an ``Identity`` has them.

        Args:
            headers: those of the envelope.
            directory: the project folder.
        """
        if not self._labels.chosen:
            return {}
        found = self._of_the_user()
        if self._labels.user == "variable":
            found |= {"user": self._given.user or headers.get("user")}
        found["user"] = _hashed(found.get("user"), self._labels.user_salt)
        if self._is_chosen["branch"] and directory:
            found["branch"] = self._branch(directory)
        return {name: self.value(name, found.get(name)) for name in CHOSEN_LABELS}

    def value(self, name: str, found: str | None) -> str | None:
        """Return the value of a chosen label as an ``Identity`` has it; None if the label is not chosen."""
        if not self._is_chosen[name] or (label := normalize_optional((found or "").replace("/", "-"))) is None:
            return None
        return label if name in self._labels.metrics else f"{UNMEASURED}{label}"

    def _of_the_user(self) -> dict[str, str | None]:
        """Return what the user's own files and the host say. What cannot be read in time stays what it was."""
        if self._seconds() - self._looked_at > KEPT_FOR:
            look = functools.partial(_look, self._labels, self._folder)
            self._found = in_time(str(self._folder), look, self._found)
            self._looked_at = self._seconds()
        given = {"user": self._given.user, "machine": self._given.machine}
        return self._found | {name: value for name, value in given.items() if value}

    def _branch(self, directory: str) -> str | None:
        at, branch = self._branches.get(directory, (float("-inf"), None))
        if self._seconds() - at > BRANCH_KEPT_FOR:
            branch = in_time(directory, functools.partial(current_branch, Path(directory)), branch)
            if len(self._branches) >= _MOST_FOLDERS:
                self._branches.clear()
            self._branches[directory] = self._seconds(), branch
        return branch


def _look(labels: LabelsConfig, folder: Path) -> dict[str, str | None]:
    account = read_account(folder) if {"user", "organization"} & labels.chosen else {}
    if labels.user == "account":
        user = account.get("accountUuid")
    elif labels.user.startswith("git-"):
        user = git_user(folder, labels.user.removeprefix("git-"))
    else:
        user = None
    machine = socket.gethostname().partition(".")[0]
    return {"user": user, "machine": machine, "organization": account.get("organizationUuid")}


def git_user(folder: Path, key: str) -> str | None:
    """Return ``user.email`` or ``user.name`` of the user's own git configuration; None if it is not set.

    A file that ``include.path`` names counts too. What ``includeIf`` names does not.

    Args:
        folder: the user's home folder.
        key: ``email`` or ``name``.
    """
    for file in (folder / ".gitconfig", folder / ".config" / "git" / "config"):
        for _ in range(_MOST_INCLUDES):
            text = ""
            with suppress(OSError):
                text = read_regular(file, _MOST_CONFIG).decode(errors="replace")
            found = included = None
            with suppress(configparser.Error):
                found, included = config_value(text, "user", key), config_value(text, "include", "path")
            if found:
                return found
            if not included:
                break
            file = file.parent / (folder / included[2:] if included.startswith("~/") else included)  # noqa: PLW2901
    return None


def _hashed(user: str | None, salt: str | None) -> str | None:
    """Return a user as the first digits of an HMAC-SHA256 with the salt as its key, or as it is without a salt."""
    if not user or not salt:
        return user
    return hmac.new(salt.encode(), user.strip().casefold().encode(), hashlib.sha256).hexdigest()[:_DIGITS]
