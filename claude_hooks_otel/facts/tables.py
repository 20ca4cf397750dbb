"""The tables of facts: one for each kind of fact, one for the ledger of events, one for the identities of sessions."""

from __future__ import annotations

import re
import sqlite3
import typing
from dataclasses import dataclass
from typing import Final

from claude_hooks_otel.facts.model import KINDS, Content, Fact, FileChange, Session
from claude_hooks_otel.timeline import CONTENT_KEPT


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one kind of fact, and its SQL statements."""

    name: str
    create: str
    select: str
    write: str
    keys: tuple[str, ...]
    columns: str

    @classmethod
    def of(cls, kind: type[Fact]) -> Table:
        """Derive the table from the dataclass: ``ToolCall`` becomes ``tool_call``, each field a column."""
        shape, hints = kind.SHAPE, typing.get_type_hints(kind)
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
        columns = [
            f"{field} {'INTEGER' if int in (hints[field], *typing.get_args(hints[field])) else 'TEXT'}"
            for field in shape.names
        ]
        listed, where = ", ".join(shape.names), " AND ".join(f"{field} = ?" for field in shape.keys)
        marks = ", ".join("?" * len(columns))
        return cls(
            name=name,
            create=f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(shape.keys)})) WITHOUT ROWID",
            select=f"SELECT {listed} FROM {name} WHERE {where}",  # noqa: S608 — no foreign text, here and below
            write=f"INSERT OR REPLACE INTO {name} ({listed}) VALUES ({marks})",  # noqa: S608
            keys=shape.keys,
            columns=listed,
        )

    def select_many(self, count: int) -> str:
        """Return a statement that selects up to ``count`` facts by their keys, whose values follow one another."""
        one = f"({', '.join('?' * len(self.keys))})"
        same = " AND ".join(f"{field} = column{number}" for number, field in enumerate(self.keys, 1))
        return f"SELECT {self.columns} FROM (VALUES {', '.join([one] * count)}) CROSS JOIN {self.name} ON {same}"  # noqa: S608


TABLES: Final[dict[type[Fact], Table]] = {kind: Table.of(kind) for kind in KINDS}

SCHEMA: Final = ";".join(
    [
        *(table.create for table in TABLES.values()),
        """
CREATE TABLE IF NOT EXISTS ledger (
    digest BLOB, received_ns INTEGER, session_id TEXT, event TEXT, agent_id TEXT, prompt_id TEXT, detail TEXT, process TEXT,
    PRIMARY KEY (digest, received_ns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS identity (
    session_id TEXT, since_ns INTEGER, agent TEXT, project TEXT, team TEXT, sprint TEXT, user TEXT, machine TEXT, branch_label TEXT,
    organization TEXT, PRIMARY KEY (session_id, since_ns)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_by_session ON ledger (session_id, event, received_ns);
CREATE INDEX IF NOT EXISTS ledger_by_process ON ledger (process, received_ns) WHERE event IN ('SessionStart', 'SessionEnd');
CREATE INDEX IF NOT EXISTS api_request_by_session ON api_request (session_id, at_ns);
CREATE INDEX IF NOT EXISTS api_request_by_time ON api_request (at_ns);
CREATE INDEX IF NOT EXISTS measurement_by_time ON measurement (at_ns);
CREATE INDEX IF NOT EXISTS program_span_by_time ON program_span (ended_ns);
CREATE INDEX IF NOT EXISTS suite_run_by_session ON suite_run (session_id);
CREATE INDEX IF NOT EXISTS task_by_completion ON task (completed_ns);
CREATE INDEX IF NOT EXISTS cost_state_by_account ON cost_state (account_started_ns);
CREATE INDEX IF NOT EXISTS tool_call_by_session ON tool_call (session_id, outcome);
CREATE INDEX IF NOT EXISTS limit_reading_by_reset ON limit_reading (resets_ns);
CREATE INDEX IF NOT EXISTS turn_by_session ON turn (session_id);
CREATE INDEX IF NOT EXISTS subagent_by_session ON subagent (session_id);
CREATE INDEX IF NOT EXISTS subagent_wake_by_session ON subagent_wake (session_id)""",
    ]
)


def forget(connection: sqlite3.Connection, *, before_ns: int, now_ns: int) -> None:
    """Delete the sessions that were last seen before a time, with all their facts, and older facts that belong to no session.

    A session is deleted as a whole, because its counts, its account and its pairs need all of its facts. A followed session stays.
    """
    times = {"before": before_ns, "content_before": max(before_ns, now_ns - CONTENT_KEPT)}
    connection.execute(
        "DELETE FROM session WHERE last_seen_ns < :before AND session_id NOT IN (SELECT session_id FROM followed_session)",
        times,
    )
    gone = "session_id NOT IN (SELECT session_id FROM session)"
    for kind, table in TABLES.items():
        if kind in (Session, FileChange, Content):
            continue
        # A fact may arrive before its session. Then its own time counts.
        conditions = [f"COALESCE({name}, 0) < :before" for name in kind.TIMES]
        if "session_id" in kind.SHAPE.names:
            conditions.append(gone)
        connection.execute(f"DELETE FROM {table.name} WHERE {' AND '.join(conditions)}", times)  # noqa: S608
    connection.execute("DELETE FROM file_change WHERE tool_use_id NOT IN (SELECT tool_use_id FROM tool_call)")
    connection.execute("DELETE FROM content WHERE at_ns < :content_before", times)
    connection.execute(f"DELETE FROM ledger WHERE received_ns < :before AND {gone}", times)  # noqa: S608
    connection.execute(f"DELETE FROM identity WHERE since_ns < :before AND {gone}", times)  # noqa: S608
