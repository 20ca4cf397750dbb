"""A Claude Code settings file: which one a scope means, what stands in it, and how it is changed without risk."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from claude_hooks_otel.installation.json_text import JsonText, JsonTextError


class SettingsError(Exception):
    """A settings file cannot be used or changed; the message says why and what to do. The file is as it was."""


class Scope(StrEnum):
    """Whose sessions a settings file concerns."""

    USER = "user"
    PROJECT = "project"
    LOCAL = "local"


def path_of(scope: Scope, environ: Mapping[str, str], directory: Path) -> Path:
    """The settings file of a scope, as Claude Code looks for it.

    Args:
        scope: ``user``: every session of this user; ``project``: everybody's sessions in ``directory`` (the file is meant to be
            committed); ``local``: this user's sessions in ``directory``.
        environ: ``CLAUDE_CONFIG_DIR`` moves the user's file.
        directory: the project's folder.
    """
    if scope is Scope.USER:
        folder = environ.get("CLAUDE_CONFIG_DIR")
        return (Path(folder) if folder else Path(environ.get("HOME") or Path.home()) / ".claude") / "settings.json"
    return directory / ".claude" / ("settings.json" if scope is Scope.PROJECT else "settings.local.json")


class SettingsFile:
    """One settings file as it stood when this was made.

    Attributes:
        path: the file.
        document: its content, to be changed before ``write``; ``{}`` where there is no file, or an empty one.

    Raises:
        SettingsError: it cannot be read, or is not a JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = self._read()
        text = self.before
        try:
            self.document = JsonText(text if text.strip("\ufeff \t\r\n") else "{}\n")
        except JsonTextError as error:
            raise SettingsError(f"{path} is not valid JSON ({error}). Correct it and try again.") from None
        if not isinstance(self.document.value, dict):
            raise SettingsError(f"{path} has to hold a JSON object, {{...}}. Correct it and try again.")

    @property
    def before(self) -> str:
        """The content before any change; empty where there was no file."""
        return (self._before or b"").decode()

    @property
    def after(self) -> str:
        """The content with the changes."""
        return str(self.document) if self.exists or self.document.value else ""

    @property
    def exists(self) -> bool:
        """Whether there was a file."""
        return self._before is not None

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.document.value != {} if not self.before else self.after != self.before

    @property
    def env(self) -> dict[str, str]:
        """The variables that the file sets for its sessions."""
        found = self.document.get(["env"])
        return (
            {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
        )

    def write(self) -> Path | None:
        """Puts the changed content in place in one step; returns the backup of the content before, if there was any.

        A link stays a link, and mode and owner stay as they were.

        Raises:
            SettingsError: the file was changed meanwhile, or its folder cannot be written.
        """
        target = Path(os.path.realpath(self.path))
        try:
            content = self.after.encode()
            if self._read() != self._before:
                raise SettingsError(f"{self.path} was changed by another program at this moment. Try again.")
            backup = self._back_up()
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(target, content, like=target if self.exists else None)
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the new content is no valid text"
            raise SettingsError(f"{self.path} cannot be written: {reason}.") from None
        return backup

    def delete(self) -> Path | None:
        """Takes the file away; returns the backup of its content.

        Raises:
            SettingsError: its folder cannot be written.
        """
        try:
            backup = self._back_up()
            self.path.unlink()
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be deleted: {error.strerror}.") from None
        return backup

    def _read(self) -> bytes | None:
        try:
            content = self.path.read_bytes()
            content.decode()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError as error:
            raise SettingsError(
                f"{self.path} is not UTF-8 text (byte {error.start}). Correct it and try again."
            ) from None
        return content

    def _back_up(self) -> Path | None:
        """A copy next to the file, named after the time."""
        if self._before is None:
            return None
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        copies = (
            self.path.with_name(f"{self.path.name}.{stamp}{number}.bak")
            for number in ("", *(f".{n}" for n in range(1, 1000)))
        )
        backup = next(copy for copy in copies if not copy.exists())
        replace_file(backup, self._before, like=self.path)
        return backup


def replace_file(path: Path, content: bytes, *, like: Path | None = None) -> None:
    """Writes a file in one step: whoever reads it finds the old content or the new.

    Args:
        path: the file, no link.
        content: all of it.
        like: whose mode and, where possible, owner it gets; without one it is readable by its owner alone.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if like is not None:
            status = like.stat()
            with contextlib.suppress(OSError):  # root keeps another user's file theirs; others cannot
                os.chown(temporary, status.st_uid, status.st_gid)
            shutil.copymode(like, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
