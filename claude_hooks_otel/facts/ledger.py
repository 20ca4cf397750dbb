"""The ledger: every event that arrived, with its time, its agent and one word about it. Pairing and counting read it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.timeline import COPIES_WITHIN


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One event.

    Attributes:
        received_ns: when the hook received it, Unix nanoseconds.
        event: the event's name.
        agent_id: the sub-agent's id; empty for the main conversation.
        prompt_id: the prompt's id; empty if the event has none.
        detail: one word about it, for example the source of a start; never content.
        process: the client's process id; empty if it is unknown.
    """

    received_ns: int
    event: str
    agent_id: str
    prompt_id: str
    detail: str
    process: str = ""


# The index ledger_by_process has these.
_STARTS_AND_ENDS: Final = "event IN ('SessionStart', 'SessionEnd') AND detail != 'compact'"


class Ledger:
    """The ledger of one store. ``enter`` needs an open transaction. Times are Unix nanoseconds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def enter(self, digest: bytes, session_id: str, entry: LedgerEntry) -> bool:
        """Enter an event. Return False if the ledger has a copy of it.

        A plugin and a settings file may both register a hook for one event. So two equal payloads that arrive within
        ``COPIES_WITHIN`` are one event.

        Args:
            digest: the digest of the payload and its client.
            session_id: the event's session.
            entry: the entry.
        """
        row = {
            "digest": digest, "at": entry.received_ns, "session": session_id, "event": entry.event,
            "agent": entry.agent_id, "prompt": entry.prompt_id, "detail": entry.detail, "process": entry.process,
            "window": COPIES_WITHIN,
        }  # fmt: skip
        if self._connection.execute(
            "INSERT INTO ledger (digest, received_ns, session_id, event, agent_id, prompt_id, detail, process) "
            "SELECT :digest, :at, :session, :event, :agent, :prompt, :detail, :process WHERE NOT EXISTS "
            "(SELECT 1 FROM ledger WHERE digest = :digest AND received_ns BETWEEN :at - :window AND :at + :window)",
            row,
        ).rowcount:
            return True
        if entry.event == "SubagentStart":
            # In a backlog, the later copy may be read first. Keep the earlier time, because the sub-agent started then. For other
            # events, the time is part of a key, so it must not change.
            self._connection.execute(
                "UPDATE OR IGNORE ledger SET received_ns = :at WHERE digest = :digest AND received_ns > :at AND received_ns <= :at + :window",
                row,
            )
        return False

    def entries(self, session_id: str, *events: str, since_ns: int = 0) -> list[LedgerEntry]:
        """Return the session's entries of these events, from a time on, ordered by time."""
        marks = ", ".join("?" * len(events))
        rows = self._connection.execute(
            f"SELECT received_ns, event, agent_id, prompt_id, detail, COALESCE(process, '') FROM ledger WHERE session_id = ? AND event IN ({marks}) "  # noqa: S608
            "AND received_ns >= ? ORDER BY received_ns, event",
            (session_id, *events, since_ns),
        )
        return [LedgerEntry(*row) for row in rows]

    def has_beginning(self, session_id: str) -> bool:
        """Return whether the start of a new session was captured. Its transcript holds nothing from before it."""
        found = self._connection.execute(
            "SELECT 1 FROM ledger WHERE session_id = ? AND event = 'SessionStart' AND detail IN ('startup', 'clear')",
            (session_id,),
        )
        return found.fetchone() is not None

    def end_under_another_id(self, start: LedgerEntry) -> LedgerEntry | None:
        """Return the SessionEnd that the process of a start sent with the id of a session without a start; None if there is none.

        Clients before 2.1.214 start a fork so: SessionStart has the parent's id, and every later event the fork's.
        """
        row = self._connection.execute(
            "SELECT received_ns, event, agent_id, prompt_id, detail, process, session_id FROM ledger WHERE process = ? "  # noqa: S608
            f"AND {_STARTS_AND_ENDS} AND received_ns > ? ORDER BY received_ns LIMIT 1",
            (start.process, start.received_ns),
        ).fetchone()
        # Processes of different containers can have the same id. Their sessions have starts of their own.
        if row is None or row[1] != "SessionEnd" or self.entries(row[6], "SessionStart"):
            return None
        return LedgerEntry(*row[:6])

    def is_started_under_another_id(self, session_id: str, process: int | None, seen_ns: int) -> bool:
        """Return whether the process of a session sent its SessionStart with the id of another session, and nothing else.

        Args:
            session_id: a session without a SessionStart.
            process: its process.
            seen_ns: when its first event arrived.
        """
        row = self._connection.execute(
            "SELECT event, session_id, received_ns FROM ledger WHERE process = ? "  # noqa: S608
            f"AND {_STARTS_AND_ENDS} AND received_ns <= ? ORDER BY received_ns DESC LIMIT 1",
            (str(process), seen_ns),
        ).fetchone()
        if row is None or row[0] != "SessionStart" or row[1] == session_id:
            return False
        more = "SELECT 1 FROM ledger WHERE session_id = ? AND process = ? AND received_ns > ?"
        return self._connection.execute(more, (row[1], str(process), row[2])).fetchone() is None

    def last_seen_ns(self, session_id: str, since_ns: int = 0, *, before_ns: int) -> int | None:
        """Return when the last event of a session within a period arrived; None if there is none."""
        row = self._connection.execute(
            "SELECT MAX(received_ns) FROM ledger WHERE session_id = ? AND received_ns >= ? AND received_ns < ?",
            (session_id, since_ns, before_ns),
        ).fetchone()
        at_ns: int | None = row[0]
        return at_ns


def run_starts(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return the entries that start a run of a session. The client also sends SessionStart after a compaction, which starts none."""
    return [entry for entry in entries if entry.event == "SessionStart" and entry.detail != "compact"]
