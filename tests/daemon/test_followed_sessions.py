"""Sessions that are watched: none is forgotten by a death or a backlog, and the memory for them is bounded."""

from __future__ import annotations

import sqlite3

import pytest

from claude_hooks_otel.daemon import followed_sessions as watches
from claude_hooks_otel.daemon.followed_sessions import LONGEST_POLL_NS, SHORTEST_POLL_NS, Watches
from claude_hooks_otel.units import SECOND

NOW = 1_795_000_000_000_000_000


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE watch (session_id TEXT PRIMARY KEY) WITHOUT ROWID")
    return connection


@pytest.mark.parametrize(
    ("quiet", "next_one"),
    [(0, SHORTEST_POLL_NS), (SECOND, SECOND // 3), (6 * SECOND, 2 * SECOND), (3600 * SECOND, LONGEST_POLL_NS)],
)
def test_the_longer_it_is_silent_the_less_often_it_is_looked_at(
    connection: sqlite3.Connection, quiet: int, next_one: int
) -> None:
    """After a quarter of the silence, which goes on meanwhile: a third of what it was when it was looked at last."""
    watched = Watches(connection, NOW)
    watched.hear(["s"], NOW)
    at = NOW + quiet
    assert watched.due(at) == ["s"]
    assert watched.due(at + next_one - 2) == []
    assert watched.due(at + next_one + 1) == ["s"]


def test_what_arrives_is_looked_at_next(connection: sqlite3.Connection) -> None:
    watched = Watches(connection, NOW)
    watched.hear(["s"], NOW)
    assert watched.due(NOW) == ["s"]
    assert watched.due(NOW + 1) == []
    watched.hear(["s"], NOW + 1)
    assert watched.due(NOW + 2) == ["s"]


def test_a_death_forgets_no_session(connection: sqlite3.Connection) -> None:
    first = Watches(connection, NOW)
    first.hear(["a", "b"], NOW)
    first.forget("a")
    after = Watches(connection, NOW + 9)
    assert after.due(NOW + 9) == ["b"]
    assert after.heard_ns("b", NOW + 10) == NOW + 9
    assert not after.is_quiet("b", NOW + 9)


def test_a_backlog_is_worked_off_with_few_sessions_in_memory(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "MOST_IN_MEMORY", 10)
    watched = Watches(connection, NOW)
    names = {f"s{number}" for number in range(95)}
    for name in sorted(names):
        watched.hear([name], NOW)
    assert len(watched) == 95
    assert len(watched._heard_ns) == 10
    assert set(watched.due(NOW, everything=True)) == names
    seen: set[str] = set()
    at = NOW
    while watched:
        at += LONGEST_POLL_NS
        due = watched.due(at)
        assert 0 < len(due) <= 10
        seen.update(due)
        for name in due:
            watched.forget(name)
    assert seen == names
    assert connection.execute("SELECT COUNT(*) FROM watch").fetchone() == (0,)


def test_a_parked_session_that_is_heard_of_again_counts_once(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "MOST_IN_MEMORY", 1)
    watched = Watches(connection, NOW)
    for name in ("a", "b", "a", "b", "b", "a"):
        watched.hear([name], NOW)
        assert len(watched) == len(set(connection.execute("SELECT session_id FROM watch")))
    watched.forget("b")  # which is in the table alone
    assert len(watched) == 1
