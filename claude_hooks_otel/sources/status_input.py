"""Hands the input of a status line on to the spool. Imports only ``json``, because the status line runs many times a minute.

Only what becomes facts is handed on, and only if it changed since the last time. At most one file of a session waits in the spool: a newer
one replaces it. ``sources.status_readings`` reads the files.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False  # as in ``typing``, whose import takes longer than the whole line
if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT = "statusline"
# What is handed on: objects of the input → their fields. All of them are numbers.
_NUMBERS = {
    "cost": ("total_cost_usd", "total_lines_added", "total_lines_removed"),
    "context_window": ("used_percentage", "context_window_size"),
}
_MOST_WINDOWS = 16
# The longest text that is handed on. Paths are shorter.
_LONGEST = 4096
# The folder below the home that remembers what was handed on, a file a session; and the days after which such a file is deleted.
MEMORY = "statusline"
_REMEMBERED_DAYS = 7
_MOST_DELETED = 1000
# Variables of the session → header lines, as ``hooks/emit`` writes them.
_HEADERS = {
    "agent": ("CLAUDE_AGENT_ID", "CLAUDE_PLUGIN_OPTION_AGENT"),
    "project": ("CLAUDE_AGENT_PROJECT", "CLAUDE_PLUGIN_OPTION_PROJECT"),
    "team": ("CLAUDE_AGENT_TEAM", "CLAUDE_PLUGIN_OPTION_TEAM"),
    "sprint": ("CLAUDE_AGENT_SPRINT",),
    "user": ("CLAUDE_AGENT_USER",),
    "project_directory": ("CLAUDE_PROJECT_DIR",),
}


def reduced(status: Mapping[str, object]) -> dict[str, object] | None:
    """Return the part of a status that becomes facts; None without a session.

    Args:
        status: the client's input.
    """
    session = _text(status.get("session_id"))
    if session is None:
        return None
    model = status.get("model")
    found: dict[str, object] = {
        "session_id": session,
        "transcript_path": _text(status.get("transcript_path")),
        "cwd": _text(status.get("cwd")),
        "model": _text(model.get("id")) if isinstance(model, dict) else None,
    }
    for name, fields in _NUMBERS.items():
        given = status.get(name)
        found[name] = {field: _number(given.get(field)) for field in fields} if isinstance(given, dict) else {}
    limits = status.get("rate_limits")
    windows = list(limits.items())[:_MOST_WINDOWS] if isinstance(limits, dict) else []
    found["rate_limits"] = {
        str(name)[:64]: {field: _number(window.get(field)) for field in ("used_percentage", "resets_at")}
        for name, window in windows
        if isinstance(window, dict)
    }
    return found


def hand_on(status: Mapping[str, object], home: str, environ: Mapping[str, str], now_ns: int) -> bool:
    """Write the input into the spool, unless nothing changed. Return whether a file was written.

    Args:
        status: the client's input.
        home: the home; it exists.
        environ: the variables of the session.
        now_ns: the time, Unix nanoseconds.

    Raises:
        OSError: the spool or the memory cannot be written.
    """
    found = reduced(status)
    if found is None:
        return False
    session = "".join(sign for sign in str(found["session_id"])[:64] if sign.isalnum() or sign == "-") or "none"
    content = json.dumps(found)
    memory = f"{home}/{MEMORY}/{session}"
    waiting, _, before = _read(memory).partition("\n")
    if before == content:
        return False
    if not before:
        _make_room(f"{home}/{MEMORY}", now_ns)
    headers = "".join(f"{key}={text}\n" for key, names in _HEADERS.items() if (text := _first(names, environ)))
    name = f"{EVENT}.{session}.{os.getpid()}.{now_ns}"
    body = f"claude-hooks-otel 1\nevent={EVENT}\n{headers}\n" + json.dumps({"at": now_ns, **found})
    spool = f"{home}/spool"
    _put(f"{spool}/tmp/{name}", f"{spool}/new/{name}", body)  # noqa: S108 — our own folder
    _put(f"{memory}.{os.getpid()}", memory, f"{name}\n{content}")
    if waiting.startswith(f"{EVENT}.") and "/" not in waiting:
        _delete(f"{spool}/new/{waiting}")  # the newer one says more
    return True


def config_folder(transcript_path: str | None) -> str:
    """Return the configuration folder of the client that a transcript lies in, which stands for the account; empty if it is unknown."""
    head, found, _ = (transcript_path or "").rpartition("/projects/")
    return head if found else ""


def _put(draft: str, path: str, text: str) -> None:
    """Write a file under another name, and rename it, so that nobody reads half of it."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            content = memoryview(text.encode(errors="replace"))
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        os.rename(draft, path)  # noqa: PTH104
    except OSError:
        _delete(draft)
        raise


def _make_room(folder: str, now_ns: int) -> None:
    """Make the folder, and delete what it remembers of old sessions."""
    try:
        os.mkdir(folder, 0o700)  # noqa: PTH102
    except FileExistsError:
        oldest = now_ns / 1e9 - _REMEMBERED_DAYS * 86400
        with os.scandir(folder) as entries:
            old = [entry.path for entry, _ in zip(entries, range(_MOST_DELETED)) if entry.stat().st_mtime < oldest]  # noqa: B905
        for path in old:
            _delete(path)


def _delete(path: str) -> None:
    try:  # noqa: SIM105 — contextlib takes longer than the deleting
        os.unlink(path)  # noqa: PTH108
    except OSError:
        pass


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read(65536)
    except (OSError, ValueError):
        return ""


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str:
    return next((text for name in names if (text := environ.get(name, "").partition("\n")[0])), "")


def _text(value: object) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
    return value if is_number else None  # type: ignore[return-value]
