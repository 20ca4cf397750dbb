"""``store check``, ``store backup`` and ``store restore``; and what other commands say about a store that cannot be read."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.daemon.recovery import prepare_store
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.connection import connect, read_meta, write_meta


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a store."""
    home = Home(tmp_path / "home")
    home.create()
    open_store(home.store, lambda: 1).close()
    return home


def run(home: Home, *arguments: str) -> Any:
    environ = {HOME_VARIABLE: str(home.root), "COLUMNS": "1000"}
    return CliRunner().invoke(make_app(), list(arguments), env=environ)


def named(home: Home, name: str) -> str:
    with contextlib.closing(connect(home.store, readonly=True)) as connection:
        return read_meta(connection, name)


def name(home: Home, key: str, value: str) -> None:
    with contextlib.closing(connect(home.store)) as connection:
        write_meta(connection, key, value)


def test_a_sound_store_passes_the_check(home: Home) -> None:
    done = run(home, "store", "check")
    assert done.exit_code == 0
    assert "The store is sound: 0 sessions, 0 series, schema 4." in done.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is damaged: it is empty."), (b"x" * 9000, "is damaged: it is not an SQLite database.")],
)
def test_a_damaged_store_fails_the_check(home: Home, content: bytes, sentence: str) -> None:
    home.store.write_bytes(content)
    done = run(home, "store", "check")
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Run `claude-hooks-otel flush` to do that now." in done.output
    assert run(home, "flush").exit_code == 0
    assert run(home, "store", "check").exit_code == 0


def test_a_home_without_a_store_passes_the_check(home: Home) -> None:
    home.store.unlink()
    done = run(home, "store", "check")
    assert done.exit_code == 0
    assert "There is no store" in done.output


@pytest.mark.parametrize("command", [["status"], ["report"], ["doctor"]])
def test_every_command_says_that_the_store_is_damaged(home: Home, command: list[str]) -> None:
    home.store.write_bytes(b"x" * 9000)
    done = run(home, *command)
    assert "damaged" in done.output
    assert "claude-hooks-otel flush" in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("command", [["status"], ["flush"], ["store", "check"], ["doctor"]])
def test_every_command_says_that_the_store_is_newer(home: Home, command: list[str]) -> None:
    name(home, "schema_version", "99")
    done = run(home, *command)
    assert "newer" in done.output
    assert "schema 99" in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_flush_says_that_another_process_locks_the_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_hooks_otel.store.connection.BUSY_TIMEOUT_SECONDS", 0.01)
    with contextlib.closing(sqlite3.connect(home.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = run(home, "flush")
    assert done.exit_code == 1
    assert "is locked by another process. Events wait in the spool." in done.output


def test_a_backup_is_a_sound_store_that_only_its_owner_can_read(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with contextlib.closing(connect(home.store)) as daemon:  # a running daemon has the store open
        write_meta(daemon, "note", "in the WAL")
        done = run(home, "store", "backup", str(copy))
    assert done.exit_code == 0
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "home"]
    with contextlib.closing(connect(copy, readonly=True)) as connection:
        assert read_meta(connection, "note") == "in the WAL"


def test_a_backup_overwrites_a_file_only_if_it_is_forced_to(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("mine")
    assert run(home, "store", "backup", str(copy)).exit_code == 1
    assert copy.read_text() == "mine"
    assert run(home, "store", "backup", "--force", str(copy)).exit_code == 0
    assert copy.read_bytes().startswith(b"SQLite format 3")


def test_a_backup_refuses_the_store_itself(home: Home) -> None:
    done = run(home, "store", "backup", "--force", str(home.store))
    assert done.exit_code == 1
    assert "This file is the store itself." in done.output


def test_a_restored_store_begins_its_series_again(home: Home, tmp_path: Path) -> None:
    copy, instance = tmp_path / "copy.db", named(home, "instance_id")
    run(home, "store", "backup", str(copy))
    name(home, "note", "after the copy")
    done = run(home, "store", "restore", str(copy))
    assert done.exit_code == 0, done.output
    assert named(home, "note") == ""
    (aside,) = home.root.glob("store.db.replaced-*")
    with contextlib.closing(connect(aside / "store.db", readonly=True)) as connection:
        assert read_meta(connection, "note") == "after the copy"
    prepare_store(home, Config())
    assert named(home, "instance_id") != instance
    DaemonLock.acquire(home).release()


def test_a_damaged_copy_is_not_restored(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(b"x" * 9000)
    content = home.store.read_bytes()
    done = run(home, "store", "restore", str(copy))
    assert done.exit_code == 1
    assert "The store was not changed." in done.output
    assert home.store.read_bytes() == content


def test_a_newer_copy_is_not_restored(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run(home, "store", "backup", str(copy))
    with contextlib.closing(connect(copy)) as connection:
        write_meta(connection, "schema_version", "99")
    done = run(home, "store", "restore", str(copy))
    assert done.exit_code == 1
    assert "A newer claude-hooks-otel wrote" in done.output
