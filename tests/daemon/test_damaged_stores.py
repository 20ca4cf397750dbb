"""A damaged store is set aside and recovered: no total changes, and facts come back from the transcripts."""

from __future__ import annotations

import contextlib
import copy
import gzip
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon import recovery
from claude_hooks_otel.daemon.assembly import assemble_core, open_store
from claude_hooks_otel.daemon.recovery import damaged_stores, prepare_store
from claude_hooks_otel.delivery.acceptance import note_outside, note_totals_accepted
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.catalog import CATALOG
from claude_hooks_otel.series.totals import read_exported_points, read_points
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.connection import connect, write_meta
from claude_hooks_otel.store.damage import find_damage
from claude_hooks_otel.store.schema import SCHEMA_VERSION, NewerStoreError
from tests.support.corpus import Scenario
from tests.support.places import DATA
from tests.support.replay import Clock, Replay, play

PAGE = 4096
# Metrics of the daemon's own work, which no transcript has.
OWN = ("claude.hooks.",)
IN_TRANSCRIPTS = frozenset(
    f"claude.{name}"
    for name in ("sessions", "prompts", "tokens.input", "tokens.output", "api.cost.usd", "api.requests", "tool.calls")
)
Counts = dict[tuple[str, Any], tuple[int, tuple[int, ...]]]


@pytest.fixture(scope="module")
def played_once(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """A home with one recorded scenario, read to its end and closed."""
    replay = play(Scenario("subagents"), tmp_path_factory.mktemp("played"))
    replay.core.store.close()
    return replay


@pytest.fixture
def replay(played_once: Replay, tmp_path: Path) -> Replay:
    """A copy of that home. The transcripts are shared."""
    replay = copy.copy(played_once)
    replay.home = Home(shutil.copytree(played_once.home.root, tmp_path / "home"))
    replay.clock = Clock(played_once.clock.now_ns)
    return replay


def counts(home: Home, *, exported: bool = False) -> Counts:
    read = read_exported_points if exported else read_points
    with contextlib.closing(connect(home.store, readonly=True)) as connection:
        return {
            (point.metric.name, point.labels): (point.value, point.bucket_counts) for point in read(connection, CATALOG)
        }


def instance(home: Home) -> str:
    with contextlib.closing(connect(home.store, readonly=True)) as connection:
        return str(connection.execute("SELECT value FROM meta WHERE name = 'instance_id'").fetchone()[0])


def facts(home: Home) -> dict[str, set[tuple[Any, ...]]]:
    with contextlib.closing(connect(home.store, readonly=True)) as connection:
        return {
            table.name: set(connection.execute(f"SELECT * FROM {table.name}").fetchall()) for table in TABLES.values()
        }


def pages_of(home: Home, table: str) -> list[int]:
    """Return the numbers of the leaf pages of a table, from 1."""
    found = []
    with contextlib.closing(sqlite3.connect(home.store)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = home.store.read_bytes()
    waiting = [root]
    while waiting:
        page = waiting.pop()
        start = (page - 1) * PAGE
        if content[start] in (2, 5):  # an interior page
            cells = int.from_bytes(content[start + 3 : start + 5], "big")
            waiting.append(int.from_bytes(content[start + 8 : start + 12], "big"))
            for number in range(cells):
                at = int.from_bytes(content[start + 12 + 2 * number : start + 14 + 2 * number], "big")
                waiting.append(int.from_bytes(content[start + at : start + at + 4], "big"))
        else:
            found.append(page)
    return sorted(found)


def tear(home: Home, page: int) -> None:
    """Fill a page with bytes that no page has."""
    with home.store.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def drop(home: Home, table: str) -> None:
    with contextlib.closing(sqlite3.connect(home.store)) as connection:
        connection.execute(f"DROP TABLE {table}")


def recover(replay: Replay) -> None:
    prepare_store(replay.home, replay.config, replay.clock)


def go_on(replay: Replay) -> None:
    """Open the store as the daemon does, read everything, and let every session be over."""
    replay.restart()
    replay.finish()
    replay.core.store.close()


@pytest.mark.parametrize(
    "table",
    [
        "api_request",
        "ledger",
        "transcript_cursor",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("tool_call", "session", "session_run", "identity", "turn", "meta")
        ),
    ],
)
def test_a_torn_page_outside_the_totals_changes_no_total(replay: Replay, table: str) -> None:
    before, had = counts(replay.home), facts(replay.home)
    page = pages_of(replay.home, table)
    tear(replay.home, page[len(page) // 2])
    assert find_damage(replay.home.store)
    recover(replay)
    assert find_damage(replay.home.store) is None
    assert counts(replay.home) == before
    go_on(replay)
    assert counts(replay.home) == before
    found = facts(replay.home)
    assert {row[:2] for row in had["api_request"]} == {row[:2] for row in found["api_request"]}
    assert {row[0] for row in had["tool_call"]} == {row[0] for row in found["tool_call"]}


@pytest.mark.parametrize(
    "table",
    [
        "session",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("tool_call", "ledger", "api_request", "outbox", "followed_session")
        ),
    ],
)
def test_a_missing_table_changes_no_total(replay: Replay, table: str) -> None:
    before, known = counts(replay.home), instance(replay.home)
    drop(replay.home, table)
    assert find_damage(replay.home.store) == f"the table {table} is missing"
    recover(replay)
    go_on(replay)
    assert counts(replay.home) == before
    assert instance(replay.home) == known


def _missing(replay: Replay) -> None:
    drop(replay.home, "series")


def _torn(replay: Replay) -> None:
    tear(replay.home, pages_of(replay.home, "series")[1])


def _torn_with_the_ledger(replay: Replay) -> None:
    tear(replay.home, pages_of(replay.home, "ledger")[1])
    _torn(replay)


@pytest.mark.parametrize("damage", [_missing, pytest.param(_torn, marks=pytest.mark.slow)])
def test_lost_totals_are_computed_again_under_a_new_instance(replay: Replay, damage: Callable[[Replay], None]) -> None:
    before, known = counts(replay.home), instance(replay.home)
    damage(replay)
    recover(replay)
    assert counts(replay.home) == before
    assert instance(replay.home) != known
    go_on(replay)
    assert counts(replay.home) == before


def test_lost_totals_and_lost_events_count_nothing_twice(replay: Replay) -> None:
    before = counts(replay.home)
    _torn_with_the_ledger(replay)
    recover(replay)
    go_on(replay)
    after = counts(replay.home)
    had, has = _by_metric(before), _by_metric(after)
    more = {name: (had[name], value) for name, value in has.items() if value > had[name] and not name.startswith(OWN)}
    assert more == {}


def _by_metric(found: Counts) -> Counter[str]:
    """Return the sum of each metric. Without its end, a sub-agent counts as killed, not as completed."""
    sums: Counter[str] = Counter()
    for (name, _), (value, _) in found.items():
        sums[name] += value
    return sums


def test_totals_that_an_endpoint_accepted_are_not_exported_again(replay: Replay) -> None:
    before = counts(replay.home)
    with contextlib.closing(connect(replay.home.store)) as connection:
        note_totals_accepted(connection, replay.clock.now_ns)
    note_outside(replay.home.store, replay.clock.now_ns)
    _missing(replay)
    recover(replay)
    assert counts(replay.home) == before
    assert not any(value or any(buckets) for value, buckets in counts(replay.home, exported=True).values())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pytest.param(b"no database\n" * 10_000, marks=pytest.mark.slow),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 8000, marks=pytest.mark.slow),
    ],
)
def test_a_lost_store_is_rebuilt_from_the_transcripts(
    replay: Replay, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agents of the sessions are lost, because only hooks name them."""
    before = counts(replay.home)
    replay.home.store.write_bytes(content)
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "projects").symlink_to(replay.projects)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(settings))
    replay.home.lock.touch()
    os.utime(replay.home.lock, ns=(0, 0))
    recover(replay)
    assert len(damaged_stores(replay.home)) == 1
    go_on(replay)
    assert _in_transcripts(counts(replay.home)) == _in_transcripts(before)


def _in_transcripts(found: Counts) -> dict[tuple[str, Any], int]:
    """Return the sums that transcripts alone give, without the label ``agent``."""
    sums: Counter[tuple[str, Any]] = Counter()
    for (name, labels), (value, _) in found.items():
        if name in IN_TRANSCRIPTS:
            sums[name, tuple(pair for pair in labels if pair[0] != "agent")] += value
    return sums


def test_a_sound_store_is_left_alone(replay: Replay) -> None:
    content = replay.home.store.read_bytes()
    recover(replay)
    assert replay.home.store.read_bytes() == content
    assert damaged_stores(replay.home) == []


def test_the_damaged_files_are_kept_together(replay: Replay) -> None:
    tear(replay.home, pages_of(replay.home, "turn")[0])
    content = replay.home.store.read_bytes()
    recover(replay)
    (aside,) = damaged_stores(replay.home)
    assert (aside / "store.db").read_bytes() == content
    assert aside.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "step",
    [
        "_restore_facts",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("salvage", "open_store", "_clean_up")),
    ],
)
def test_a_recovery_that_was_killed_is_completed_by_the_next_start(
    replay: Replay, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counts(replay.home)
    page = pages_of(replay.home, "api_request")[1]
    tear(replay.home, page)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(recovery, step, die)
        with pytest.raises(Killed):
            recover(replay)
    recover(replay)
    assert len(damaged_stores(replay.home)) == 1
    assert not (replay.home.root / "store.db.recovering").exists()
    assert counts(replay.home) == before


def test_a_damaged_store_of_an_older_schema_is_recovered_and_migrated(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.store.write_bytes(gzip.decompress((DATA / "stores" / "schema-1.db.gz").read_bytes()))
    with contextlib.closing(sqlite3.connect(home.store)) as old:
        had = old.execute("SELECT metric, labels, value FROM series").fetchall()
    tear(home, pages_of(home, "event")[0])
    prepare_store(home, Config())
    with contextlib.closing(connect(home.store, readonly=True)) as connection:
        assert connection.execute("SELECT metric, labels, value FROM series").fetchall() == had
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (
            str(SCHEMA_VERSION),
        )
    assert find_damage(home.store) is None


def test_a_newer_store_is_not_damaged(tmp_path: Path) -> None:
    home = Home(tmp_path)
    open_store(home.store, lambda: 0).close()
    with contextlib.closing(connect(home.store)) as connection:
        write_meta(connection, "schema_version", "99")
        connection.execute("DROP TABLE exemplar")
    content = home.store.read_bytes()
    with pytest.raises(NewerStoreError):
        assemble_core(home, Config())
    assert find_damage(home.store) is None
    assert home.store.read_bytes() == content


def test_a_store_that_is_older_than_what_an_endpoint_accepted_begins_its_series_again(replay: Replay) -> None:
    """As after the loss of the WAL, or with a copy that somebody put there."""
    before, known = counts(replay.home), instance(replay.home)
    note_outside(replay.home.store, replay.clock.now_ns)
    recover(replay)
    assert counts(replay.home) == before
    assert instance(replay.home) != known
    assert not any(value for value, _ in counts(replay.home, exported=True).values())
    again = instance(replay.home)
    with contextlib.closing(connect(replay.home.store)) as connection:
        note_totals_accepted(connection, replay.clock.now_ns)
    recover(replay)
    assert instance(replay.home) == again
