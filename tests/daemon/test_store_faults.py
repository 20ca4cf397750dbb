"""Faults of the store under a real daemon: nothing recoverable is lost, nothing counts twice, and two daemons never write."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.recovery import damaged_stores
from claude_hooks_otel.home.flush_requests import request_flush
from claude_hooks_otel.home.lock import DaemonLock, is_running
from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.store.connection import connect, write_meta
from claude_hooks_otel.store.damage import find_damage
from claude_hooks_otel.store.schema import SCHEMA_VERSION
from claude_hooks_otel.store.store import files_of
from claude_hooks_otel.units import SECOND
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import (
    COUNTS_OF_FAULTS,
    Installation,
    PlayedHook,
    Totals,
    on_a_small_disk,
    steps_back,
    totals,
    wait_for_totals,
    wait_until,
)
from tests.support.undisturbed import FEW, Undisturbed, in_transcripts

pytestmark = pytest.mark.faults

PAGE = 4096


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run of some dozen sessions."""
    return Undisturbed(tmp_path_factory.mktemp("few"), FEW)


@pytest.fixture
def installation(tmp_path: Path, otlp_receiver: OtlpReceiver, few: Undisturbed) -> Iterator[Installation]:
    """An installation that exports to the receiver. Its projects are those of the undisturbed run."""
    made = Installation(tmp_path, _environ(otlp_receiver, few))
    made.home.lock.touch(mode=0o600)  # the first daemon ran yesterday
    os.utime(made.home.lock, ns=(made.home.lock.stat().st_mtime_ns - 24 * 3600 * SECOND,) * 2)
    yield made
    made.close()


def _environ(receiver: OtlpReceiver, few: Undisturbed) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "CLAUDE_CONFIG_DIR": str(few.projects.parent),
    }


def play(installation: Installation, hooks: list[PlayedHook]) -> None:
    for hook in hooks:
        installation.run_hook(hook)


def halves(few: Undisturbed) -> tuple[list[PlayedHook], list[PlayedHook]]:
    middle = len(few.sessions.hooks) // 2
    return few.sessions.hooks[:middle], few.sessions.hooks[middle:]


def log(installation: Installation) -> str:
    return installation.home.log.read_text() if installation.home.log.exists() else ""


def over_all_instances(receiver: OtlpReceiver) -> Totals:
    """Return the newest totals of each instance, added up. This is what a query over all instances sees."""
    newest: dict[tuple[Any, Any], Any] = {}
    for point in receiver.metrics:
        if point.kind != "gauge" and point.name not in COUNTS_OF_FAULTS:
            newest[point.resource["service.instance.id"], point.key] = point.value
    found: dict[Any, Any] = {}
    for (_, key), value in newest.items():
        before = found.get(key)
        if isinstance(value, tuple):
            found[key] = tuple(map(sum, zip(before or (0, 0), value, strict=True)))
        else:
            found[key] = (before or 0) + value
    return found


def wait_for_sums(receiver: OtlpReceiver, wanted: Totals, of: Callable[[Totals], Totals] = lambda it: it) -> None:
    """Wait until the totals of all instances add up to these."""
    with contextlib.suppress(TimeoutError):
        receiver.wait_for(lambda it: _near(of(over_all_instances(it)), of(wanted)), 30)
    found, expected = of(over_all_instances(receiver)), of(wanted)
    assert {
        key: (found.get(key), expected.get(key))
        for key in found.keys() | expected.keys()
        if not _same(found.get(key, 0), expected.get(key, 0))
    } == {}


def _near(one: Totals, other: Totals) -> bool:
    return all(_same(one.get(key, 0), other.get(key, 0)) for key in one.keys() | other.keys())


def _same(one: Any, other: Any) -> bool:
    """Return whether two totals are equal. The sum of two exported numbers is rounded once more."""
    if isinstance(one, tuple) or isinstance(other, tuple):
        return all(_same(a, b) for a, b in zip(one or (0, 0), other or (0, 0), strict=True))
    return bool(one == pytest.approx(other, rel=1e-12, abs=1e-12))


# -- deleted under the running daemon ----------------------------------------------------------------------------------------------


def _delete_all(installation: Installation) -> None:
    for file in files_of(installation.home.store):
        file.unlink(missing_ok=True)


def _delete_database(installation: Installation) -> None:
    installation.home.store.unlink()


def _delete_wal(installation: Installation) -> None:
    files_of(installation.home.store)[1].unlink()


def _replace_by_garbage(installation: Installation) -> None:
    other = installation.home.root / "other"
    other.write_bytes(b"garbage" * 1000)
    other.replace(installation.home.store)


@pytest.mark.parametrize("fault", [_delete_all, _delete_database, _delete_wal, _replace_by_garbage])
def test_a_store_that_is_deleted_under_the_daemon_loses_nothing(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver, fault: Callable[[Installation], None]
) -> None:
    """The open file still has everything. It is written again, and the series go on."""
    first, second = halves(few)
    installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    fault(installation)
    play(installation, second)
    wait_for_totals(otlp_receiver, few.totals, 60)
    installation.kill(signal.SIGTERM)
    assert totals(otlp_receiver) == few.totals
    assert list(steps_back(otlp_receiver)) == []
    assert find_damage(installation.home.store) is None
    assert "the store is opened again" in log(installation)


def test_a_store_that_is_deleted_just_before_the_end_is_written_again(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    installation.start()
    play(installation, few.sessions.hooks)
    wait_for_totals(otlp_receiver, few.totals)
    _delete_all(installation)
    installation.kill(signal.SIGTERM)
    installation.start()
    assert request_flush(installation.home, 60).ok
    assert totals(otlp_receiver) == few.totals
    assert list(steps_back(otlp_receiver)) == []


# -- damaged -----------------------------------------------------------------------------------------------------------------------


def _empty(store: Path) -> None:
    store.write_bytes(b"")


def _garbage(store: Path) -> None:
    store.write_bytes(b"garbage!" * 50_000)


def _without_header(store: Path) -> None:
    with store.open("r+b") as file:
        file.write(bytes(PAGE))


def _half(store: Path) -> None:
    os.truncate(store, store.stat().st_size // 2 // PAGE * PAGE)


def _torn(store: Path) -> None:
    with store.open("r+b") as file:
        file.seek(store.stat().st_size // 2 // PAGE * PAGE + 512)
        file.write(b"\xa5" * (PAGE - 512))


def _without_series(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP TABLE series")


def _without_facts(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP TABLE tool_call")


def _without_meta(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("DROP TABLE meta")


@pytest.mark.parametrize(
    "damage", [_empty, _garbage, _without_header, _half, _torn, _without_series, _without_facts, _without_meta]
)
def test_a_damaged_store_loses_and_repeats_nothing_at_the_endpoint(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver, damage: Callable[[Path], None]
) -> None:
    """The first half is exported before the damage. Sums over all instances are those of a run without damage."""
    first, second = halves(few)
    installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    assert request_flush(installation.home, 60).ok
    installation.kill(signal.SIGTERM)
    damage(installation.home.store)
    play(installation, second)
    installation.start()
    wait_until(lambda: damaged_stores(installation.home) and not installation.waiting())
    assert request_flush(installation.home, 60).ok
    installation.kill(signal.SIGTERM)
    assert "the store is damaged" in log(installation)
    assert find_damage(installation.home.store) is None
    wait_for_sums(otlp_receiver, few.totals, lambda found: _without_agents(in_transcripts(found)))


def _without_agents(found: Totals) -> Totals:
    """Return the totals without the label ``agent``, which no transcript has."""
    sums: Counter[Any] = Counter()
    for (name, labels), value in found.items():
        sums[name, frozenset(pair for pair in labels if pair[0] != "agent")] += value
    return dict(sums)


def test_a_page_that_is_torn_under_the_daemon_is_found(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    first, second = halves(few)
    installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    assert request_flush(installation.home, 60).ok
    with contextlib.closing(sqlite3.connect(installation.home.store)) as connection:
        connection.execute("DROP TABLE ledger")
    play(installation, second)
    wait_until(lambda: damaged_stores(installation.home) and not installation.waiting())
    wait_for_totals(
        otlp_receiver, in_transcripts(few.totals), 60, only={name for name, _ in in_transcripts(few.totals)}
    )
    assert list(steps_back(otlp_receiver)) == []


def test_a_lost_wal_repeats_nothing_at_the_endpoint(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    """The daemon is killed, and its WAL deleted: the store is older than what the endpoint has accepted."""
    installation.start()
    play(installation, few.sessions.hooks)
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill()
    assert files_of(installation.home.store)[1].stat().st_size
    _delete_wal(installation)
    installation.start()
    wait_until(lambda: "begin again" in log(installation))
    assert request_flush(installation.home, 60).ok
    wait_for_sums(otlp_receiver, few.totals, lambda found: _without_agents(in_transcripts(found)))


def test_a_restored_copy_repeats_nothing_at_the_endpoint(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """The copy has the first half. The second half was exported before the copy was restored."""
    first, second = halves(few)
    environ = {HOME_VARIABLE: str(installation.home.root)}
    installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    assert CliRunner().invoke(make_app(), ["store", "backup", str(tmp_path / "copy.db")], env=environ).exit_code == 0
    play(installation, second)
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill(signal.SIGTERM)
    done = CliRunner().invoke(make_app(), ["store", "restore", str(tmp_path / "copy.db")], env=environ)
    assert done.exit_code == 0, done.output
    installation.start()
    wait_until(lambda: "begin again" in log(installation))
    assert request_flush(installation.home, 60).ok
    wait_for_sums(otlp_receiver, few.totals, lambda found: _without_agents(in_transcripts(found)))


def test_the_transactions_of_a_killed_daemon_are_in_its_wal(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    installation.start()
    play(installation, few.sessions.hooks)
    wait_for_totals(otlp_receiver, few.totals)
    installation.kill()
    installation.start()
    assert request_flush(installation.home, 60).ok
    assert totals(otlp_receiver) == few.totals
    assert list(steps_back(otlp_receiver)) == []
    assert damaged_stores(installation.home) == []


# -- in use, full, newer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_running_before", [True, False])
def test_events_wait_while_another_process_locks_the_store(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver, is_running_before: bool
) -> None:
    first, second = halves(few)
    if is_running_before:
        installation.start()
        play(installation, first)
        wait_until(lambda: not installation.waiting())
    with contextlib.closing(sqlite3.connect(installation.home.store, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        play(installation, second if is_running_before else few.sessions.hooks)
        if not is_running_before:
            installation.start()
        wait_until(lambda: "database is locked" in log(installation), 60)
        wait_until(installation.waiting)
        connection.execute("ROLLBACK")
    wait_for_totals(otlp_receiver, few.totals, 60)
    assert log(installation).count("cannot be used for now") == 1
    assert "can be used again" in log(installation)


def test_a_full_disk_in_the_middle_of_a_commit_loses_nothing(
    few: Undisturbed, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    def body() -> None:
        installation = Installation(disk, _environ(otlp_receiver, few))
        try:
            play(installation, few.sessions.hooks)
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(PAGE))
            with ballast.open("r+b") as file:
                file.truncate(ballast.stat().st_size - 40 * PAGE)  # enough to open the store, not for its transactions
            installation.start()
            wait_until(lambda: "full" in log(installation) or "No space" in log(installation), 60)
            assert installation.waiting() == len(few.sessions.hooks)
            ballast.unlink()
            wait_for_totals(otlp_receiver, few.totals, 60)
        finally:
            installation.close()

    try:
        on_a_small_disk(disk, body)
    except PermissionError as error:
        pytest.skip(f"this machine allows no disk of its own: {error}")


def test_events_wait_for_the_version_that_wrote_the_store(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    with contextlib.closing(connect(installation.home.store)) as connection:
        write_meta(connection, "schema_version", "99")
    play(installation, few.sessions.hooks)
    installation.start()
    wait_until(lambda: "upgrade this installation" in log(installation))
    wait_until(lambda: not is_running(installation.home))
    assert installation.waiting() == len(few.sessions.hooks)
    assert "Traceback" not in log(installation)
    installation.kill()
    with contextlib.closing(connect(installation.home.store)) as connection:
        write_meta(connection, "schema_version", str(SCHEMA_VERSION))
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)


# -- the lock and the home ---------------------------------------------------------------------------------------------------------


def test_a_daemon_without_its_lock_file_writes_nothing_more(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    first, second = halves(few)
    pid = installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    wait_until(lambda: is_running(installation.home))
    installation.home.lock.unlink()
    lock = DaemonLock.acquire(installation.home)  # as the second daemon does
    try:
        wait_until(lambda: "leaving at once" in log(installation))
        assert installation.home.pid.read_text() == f"{os.getpid()}\n"
        play(installation, second)
        waiting = installation.waiting()
        installation.kill(signal.SIGTERM) if _exists(pid) else None
        assert installation.waiting() == waiting == len(second)
    finally:
        lock.release()
    installation.start()
    wait_for_totals(otlp_receiver, few.totals)
    assert list(steps_back(otlp_receiver)) == []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_daemon_ends_when_its_home_is_deleted(
    few: Undisturbed, installation: Installation, otlp_receiver: OtlpReceiver
) -> None:
    """The next hook creates the home again, and the next daemon starts with a new store."""
    first, second = halves(few)
    installation.start()
    play(installation, first)
    wait_until(lambda: not installation.waiting())
    with installation.home.lock.open() as held:
        shutil.rmtree(installation.home.root)
        wait_until(lambda: _can_lock(held.fileno()))
    assert not installation.home.root.exists()
    installation.kill()
    installation.home.create()  # as the hook does
    play(installation, second)
    installation.start()
    wait_until(lambda: not installation.waiting())
    assert request_flush(installation.home, 60).ok
    assert totals(otlp_receiver)


def _can_lock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True
