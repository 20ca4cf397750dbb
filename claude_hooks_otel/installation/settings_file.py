"""A Claude Code settings file: which one a scope names, what it contains, and how to change it safely."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from claude_hooks_otel.foreign_files import ForeignFileError, read_regular
from claude_hooks_otel.installation.json_text import JsonText, JsonTextError
from claude_hooks_otel.settings import replace_file

# Bytes of a settings file.
MOST_SETTINGS = 4 << 20


class SettingsError(Exception):
    """A settings file cannot be used or changed. The message says why and what to do. The file stays as it was."""


class UnreadableSettingsError(SettingsError):
    """A settings file is not a regular file, cannot be read, or is not a JSON object.

    Attributes:
        reason: what is wrong with it, to be read after its path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}. Correct it and try again.")
        self.reason = reason


class Scope(StrEnum):
    """Whose sessions a settings file applies to."""

    USER = "user"
    PROJECT = "project"
    LOCAL = "local"


def path_of(scope: Scope, environ: Mapping[str, str], directory: Path) -> Path:
    """Return the settings file of a scope, where Claude Code looks for it.

    Args:
        scope: ``user``: every session of this user. ``project``: everybody's sessions in ``directory`` (people commit this
            file). ``local``: this user's sessions in ``directory``.
        environ: the environment. ``CLAUDE_CONFIG_DIR`` moves the user's file.
        directory: the project's folder.
    """
    if scope is Scope.USER:
        folder = environ.get("CLAUDE_CONFIG_DIR")
        return (Path(folder) if folder else Path(environ.get("HOME") or Path.home()) / ".claude") / "settings.json"
    return directory / ".claude" / ("settings.json" if scope is Scope.PROJECT else "settings.local.json")


class SettingsFile:
    """One settings file, as it was when this object was made.

    Attributes:
        path: the file.
        document: its content. Change it, then call ``write``. It is ``{}`` if the file is missing or empty.

    Raises:
        UnreadableSettingsError: it is not a regular file, cannot be read, or is not a JSON object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = self._read()
        text = self.before
        try:
            self.document = JsonText(text if text.strip("\ufeff \t\r\n") else "{}\n")
        except JsonTextError as error:
            raise UnreadableSettingsError(path, f"is not valid JSON ({error})") from None
        if not isinstance(self.document.value, dict):
            raise UnreadableSettingsError(path, "has to hold a JSON object, {...}")

    @property
    def before(self) -> str:
        """The content before any change. Empty if there was no file."""
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

    def check_writable(self) -> None:
        """Make sure, before anything else is written, that this file can be.

        Raises:
            SettingsError: its folder cannot be written.
        """
        folder = Path(os.path.realpath(self.path)).parent
        existing = next(place for place in (folder, *folder.parents) if place.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            reason = "is not writable" if existing.is_dir() else "is not a folder"
            raise SettingsError(f"{self.path} cannot be written: {existing} {reason}.")

    def write(self, *, with_backup: bool = True) -> Path | None:
        """Replace the file with the changed content in one step. Return the backup of the old content, if there is any.

        A symbolic link stays a link. Mode and owner stay as they were.

        Raises:
            SettingsError: another program changed the file meanwhile, or its folder cannot be written.
        """
        target = Path(os.path.realpath(self.path))
        try:
            content = self.after.encode()
            if self._read() != self._before:
                raise SettingsError(f"{self.path} was changed by another program at this moment. Try again.")
            backup = self._back_up() if with_backup else None
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(target, content, like=target if self.exists else None)
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the new content is not valid text"
            raise SettingsError(f"{self.path} cannot be written: {reason}.") from None
        return backup

    def delete(self) -> None:
        """Delete the file.

        Raises:
            SettingsError: its folder cannot be written.
        """
        try:
            self.path.unlink()
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be deleted: {error.strerror}.") from None

    def _read(self) -> bytes | None:
        try:
            content = read_regular(self.path, MOST_SETTINGS)
            content.decode()
        except FileNotFoundError:
            return None
        except ForeignFileError as error:
            raise UnreadableSettingsError(self.path, str(error.strerror)) from None
        except OSError as error:
            raise UnreadableSettingsError(self.path, f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UnreadableSettingsError(self.path, f"is not UTF-8 text (byte {error.start})") from None
        return content

    def _back_up(self) -> Path | None:
        """Copy the file to one next to it, named after the time."""
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
