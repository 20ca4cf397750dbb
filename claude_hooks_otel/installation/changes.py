"""What ``install`` changed in each settings file, so that ``uninstall`` puts back exactly what was there."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.json_text import JsonText
from claude_hooks_otel.installation.status_line import Choice, Registered, register, restore
from claude_hooks_otel.settings import replace_file


class EnvValue(BaseModel):
    """A variable that we set in ``env``.

    Attributes:
        set_to: our value.
        before: the value before, any JSON value.
        was_there: whether the variable was set.
    """

    set_to: str
    before: object = None
    was_there: bool = False


class Changes(BaseModel):
    """What we changed in one settings file, except for the hook entries: their command identifies them.

    Attributes:
        env: the variables that we set.
        status_line: what we changed in ``statusLine``.
        made: objects and lists that we added, as paths from the document's root.
        made_file: whether we created the file itself.
        backups: the copies of the file that we made, the oldest first.
    """

    env: dict[str, EnvValue] = {}
    status_line: Registered | None = None
    made: list[list[str]] = []
    made_file: bool = False
    backups: list[str] = []

    def set_env(self, document: JsonText, values: dict[str, str]) -> list[str]:
        """Set variables and remember their values before. Return the names of those that changed."""
        changed: list[str] = []
        for name, value in values.items():
            present = document.get(["env"]) or {}
            if "env" not in document.value:
                document.set(["env"], {})
                self.made.append(["env"])
            ours = self.env.get(name)
            if ours is None or present.get(name) != ours.set_to:
                if present.get(name) == value:
                    self.env.pop(name, None)  # somebody else set the same value: it is theirs
                    continue
                self.env[name] = EnvValue(set_to=value, before=present.get(name), was_there=name in present)
            ours = self.env[name]
            ours.set_to = value
            if present.get(name) != value:
                document.set(["env", name], value)
                changed.append(name)
        return changed

    def restore_env(self, document: JsonText) -> list[str]:
        """Restore our variables, except those that somebody has changed since. Return the names of the restored ones."""
        restored: list[str] = []
        present = document.get(["env"])
        for name, ours in self.env.items():
            if not isinstance(present, dict) or present.get(name) != ours.set_to:
                continue
            if ours.was_there:
                document.set(["env", name], ours.before)
            else:
                document.remove(["env", name])
            restored.append(name)
        return restored

    def set_status_line(self, document: JsonText, choice: Choice) -> None:
        """Register our status line, or put back the one before."""
        if choice.wanted:
            self.status_line = register(document, choice, self.status_line)
        else:
            self.restore_status_line(document)

    def restore_status_line(self, document: JsonText) -> bool:
        """Put back the status line before ours. Return whether anything changed."""
        registered, self.status_line = self.status_line, None
        return restore(document, registered)

    def remove_empty(self, document: JsonText) -> None:
        """Remove the objects and lists that we made, if they are empty now."""
        for path in sorted(self.made, key=len, reverse=True):
            if document.get(path) in ({}, []):
                document.remove(path)

    def is_original(self, content: str) -> bool:
        """Return whether a content is that of the oldest backup: the file as it was before the first ``install``."""
        return bool(self.backups) and _content(Path(self.backups[0])) == content.encode()

    def delete_backups(self) -> list[Path]:
        """Delete our copies of the file, which is as it was before. Return those that were there."""
        found = [Path(backup) for backup in self.backups if Path(backup).is_file()]
        for backup in found:
            with contextlib.suppress(OSError):  # it harms nobody
                backup.unlink()
        self.backups.clear()
        return found


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


_ALL = TypeAdapter(dict[str, Changes])


class InstalledChanges:
    """The changes that ``install`` made in every settings file, kept in one home.

    Args:
        home: the home that keeps them.
    """

    def __init__(self, home: Home) -> None:
        self._file = home.installations
        try:
            self._all = _ALL.validate_json(self._file.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            self._all = {}
        self._before = self._dump()

    def of(self, settings: Path) -> Changes:
        """Return the changes of one settings file. Alter them, then call ``save``."""
        return self._all.setdefault(_key(settings), Changes())

    def forget(self, settings: Path) -> None:
        """Forget the changes of one settings file."""
        self._all.pop(_key(settings), None)

    @property
    def settings_files(self) -> list[Path]:
        """The settings files that were changed, the latest last."""
        return [Path(key) for key in self._all]

    def save(self) -> None:
        """Write the changes to the home, if they differ from what is there."""
        if self._dump() != self._before:
            replace_file(self._file, self._dump())

    def _dump(self) -> bytes:
        return json.dumps({key: changes.model_dump() for key, changes in self._all.items()}, indent=1).encode()


def _key(settings: Path) -> str:
    return os.path.realpath(settings)
