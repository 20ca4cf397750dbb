"""Recounts the requests of sessions from their transcripts, with simple code of its own, and compares them with the store.

Nothing here uses the readers, the models or the pairing of the daemon, so that a fault of theirs shows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from claude_hooks_otel.report.ranges import Range
from claude_hooks_otel.units import unix_nanoseconds

# The classes of tokens that are compared → their keys in a transcript's ``usage``.
_KEYS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
}
CLASSES: Final = tuple(_KEYS)
# A request: its message's id and the request's id; empty where there is none.
Key = tuple[str, str]

_STORED: Final = """
SELECT message_id, COALESCE(request_id, ''), session_id, COALESCE(input_tokens, 0), COALESCE(output_tokens, 0), COALESCE(cache_read_tokens, 0),
    COALESCE(cache_write_5m_tokens, 0) + COALESCE(cache_write_1h_tokens, 0)
FROM api_request WHERE error IS NULL
"""


@dataclass(frozen=True, slots=True)
class Audited:
    """A session to recount.

    Attributes:
        session_id: its id.
        transcript: its transcript.
        counts_from_ns: the first event that a hook captured; 0 if its whole transcript counts. Unix nanoseconds.
    """

    session_id: str
    transcript: Path
    counts_from_ns: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that transcripts and store do not agree on.

    Attributes:
        session_id: the session.
        message_id: the API's id of the answer.
        transcript: class of tokens → tokens by the transcripts; empty if they do not have the request.
        store: the same by the store.
        reason: why; empty if nothing explains it.
    """

    session_id: str
    message_id: str
    transcript: Mapping[str, int]
    store: Mapping[str, int]
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """What an audit found.

    Attributes:
        sessions: how many sessions were recounted.
        requests: how many requests their transcripts have.
        tokens: class of tokens → the sum over them.
        differences: where the store differs.
    """

    sessions: int
    requests: int
    tokens: Mapping[str, int]
    differences: list[Difference]


@dataclass(slots=True)
class _Found:
    session_id: str
    at_ns: int
    tokens: dict[str, int]


def find_audited(connection: sqlite3.Connection, within: Range, session_id: str | None = None) -> list[Audited]:
    """Return the sessions of a range, or one session, as far as their transcripts are known.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    rows = connection.execute(
        "SELECT s.session_id, s.transcript_path, i.session_id IS NOT NULL OR EXISTS (SELECT 1 FROM session_run r"
        " WHERE r.session_id = s.session_id AND r.source IN ('startup', 'clear', 'fork')),"
        " (SELECT MIN(received_ns) FROM ledger l WHERE l.session_id = s.session_id)"
        " FROM session s LEFT JOIN imported_session i USING (session_id)"
        " WHERE s.transcript_path IS NOT NULL AND s.last_seen_ns >= ? AND s.first_seen_ns < ? AND (? IS NULL OR s.session_id = ?)"
        " ORDER BY s.first_seen_ns",
        (within.since_ns, within.until_ns, session_id, session_id),
    )
    return [
        Audited(session, Path(path), 0 if counts_whole else first_ns or 0)
        for session, path, counts_whole, first_ns in rows
    ]


def audit(connection: sqlite3.Connection, sessions: Iterable[Audited]) -> Result:
    """Recount sessions, and compare each request.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    chosen = {session.session_id: session for session in sessions}
    found: dict[Key, _Found] = {}
    for session in chosen.values():
        for path in _files(session.transcript):
            _count(path, session.session_id, found)
    stored: dict[Key, tuple[str, dict[str, int]]] = {}
    for message_id, request_id, session_id, *tokens in connection.execute(_STORED):
        key = (message_id, request_id)
        before = stored.get(key, ("", dict.fromkeys(CLASSES, 0)))[1]
        added = {name: before[name] + number for name, number in zip(CLASSES, tokens, strict=True)}
        stored[key] = (session_id or "", added)
    differences = [
        Difference(each.session_id, key[0], each.tokens, stored[key][1] if key in stored else {}, _reason(each, chosen))
        for key, each in found.items()
        if key not in stored or stored[key][1] != each.tokens
    ]
    gone = {session.session_id for session in chosen.values() if not session.transcript.is_file()}
    differences += [
        Difference(session_id, key[0], {}, tokens, "the transcript was deleted" if session_id in gone else "")
        for key, (session_id, tokens) in stored.items()
        if session_id in chosen and key not in found
    ]
    sums = {name: sum(each.tokens[name] for each in found.values()) for name in CLASSES}
    return Result(len(chosen), len(found), sums, differences)


def _reason(found: _Found, chosen: Mapping[str, Audited]) -> str:
    is_before = found.at_ns < chosen[found.session_id].counts_from_ns
    return "it was answered before the first event that a hook captured" if is_before else ""


def _files(main: Path) -> Iterator[Path]:
    """Yield a session's transcript and those of its sub-agents."""
    yield main
    yield from sorted((main.with_suffix("") / "subagents").rglob("agent-*.jsonl"))
    for path in sorted(main.parent.glob("agent-*.jsonl")):
        with path.open("rb") as lines:
            if f'"sessionId":"{main.stem}"'.encode() in lines.readline().replace(b" ", b""):
                yield path


def _count(path: Path, session_id: str, found: dict[Key, _Found]) -> None:
    """Count every answer in a file once. Its tokens grow while it streams, so the largest numbers count."""
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a line that is damaged, or not written to its end
            if answer := _answer(record):
                key, at_ns, tokens = answer
                before = found.setdefault(key, _Found(session_id, at_ns, tokens))
                before.tokens = {name: max(before.tokens[name], tokens[name]) for name in CLASSES}


def _answer(record: Any) -> tuple[Key, int, dict[str, int]] | None:
    """Return an answer's key, time and tokens; None for any other line, and for an error that the client made up."""
    if not isinstance(record, dict) or record.get("type") != "assistant" or record.get("isApiErrorMessage"):
        return None
    message = record.get("message")
    usage = message.get("usage") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(usage, dict) or message.get("model") == "<synthetic>":
        return None
    tokens = {name: number if isinstance(number := usage.get(key), int) else 0 for name, key in _KEYS.items()}
    try:
        at_ns = unix_nanoseconds(record["timestamp"])
    except (KeyError, TypeError, ValueError):
        at_ns = 0
    return (str(message.get("id") or ""), str(record.get("requestId") or "")), at_ns, tokens
