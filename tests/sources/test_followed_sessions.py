"""No kill and no backlog makes the daemon forget a followed session, and their memory is bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from claude_hooks_otel.sources import followed_sessions
from claude_hooks_otel.sources.followed_sessions import FollowedSessions
from claude_hooks_otel.timeline import LONGEST_LOOK, SHORTEST_LOOK
from claude_hooks_otel.units import SECOND

NOW = 1_795_000_000_000_000_000


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE followed_session (session_id TEXT PRIMARY KEY) WITHOUT ROWID")
        yield connection


@pytest.mark.parametrize(
    ("quiet", "next_one"),
    [(0, SHORTEST_LOOK), (SECOND, SECOND // 3), (6 * SECOND, 2 * SECOND), (3600 * SECOND, LONGEST_LOOK)],
)
def test_a_session_that_is_silent_longer_is_looked_at_less_often(
    connection: sqlite3.Connection, quiet: int, next_one: int
) -> None:
    """The next look is after a quarter of the silence at that time, which is a third of the silence at the last look."""
    followed = FollowedSessions(connection, NOW)
    followed.hear(["s"], NOW)
    at = NOW + quiet
    assert followed.next_ones(at) == ["s"]
    assert followed.next_ones(at + next_one - 2) == []
    assert followed.next_ones(at + next_one + 1) == ["s"]


def test_a_session_with_a_new_event_is_looked_at_next(connection: sqlite3.Connection) -> None:
    followed = FollowedSessions(connection, NOW)
    followed.hear(["s"], NOW)
    assert followed.next_ones(NOW) == ["s"]
    assert followed.next_ones(NOW + 1) == []
    followed.hear(["s"], NOW + 1)
    assert followed.next_ones(NOW + 2) == ["s"]


def test_a_kill_of_the_daemon_forgets_no_session(connection: sqlite3.Connection) -> None:
    first = FollowedSessions(connection, NOW)
    first.hear(["a", "b"], NOW)
    first.stop("a")
    after = FollowedSessions(connection, NOW + 9)
    assert after.next_ones(NOW + 9) == ["b"]
    assert after.heard_ns("b", NOW + 10) == NOW + 9
    assert not after.is_silent("b", NOW + 9)


def test_a_backlog_is_processed_with_few_sessions_in_memory(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_sessions, "MOST_IN_MEMORY", 10)
    followed = FollowedSessions(connection, NOW)
    names = {f"s{number}" for number in range(95)}
    for name in sorted(names):
        followed.hear([name], NOW)
    assert len(followed) == 95
    assert len(followed._heard_ns) == 10
    assert set(followed.next_ones(NOW, everything=True)) == names
    seen: set[str] = set()
    at = NOW
    while followed:
        at += LONGEST_LOOK
        found = followed.next_ones(at)
        assert 0 < len(found) <= 10
        seen.update(found)
        for name in found:
            followed.stop(name)
    assert seen == names
    assert connection.execute("SELECT COUNT(*) FROM followed_session").fetchone() == (0,)


def test_a_parked_session_with_a_new_event_counts_once(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_sessions, "MOST_IN_MEMORY", 1)
    followed = FollowedSessions(connection, NOW)
    for name in ("a", "b", "a", "b", "b", "a"):
        followed.hear([name], NOW)
        assert len(followed) == len(set(connection.execute("SELECT session_id FROM followed_session")))
    followed.stop("b")  # only the table has it
    assert len(followed) == 1
