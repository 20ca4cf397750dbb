"""A home has one daemon. The operating system releases the lock when its process dies."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.home.lock import AlreadyRunningError, DaemonLock, is_running
from claude_hooks_otel.home.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@contextmanager
def lock_in_another_process(home: Home) -> Iterator[int]:
    """Hold the lock in another process. Yields the process id, and kills the process afterwards."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        DaemonLock.acquire(home)
        os.write(writer, b"x")
        signal.pause()
        os._exit(0)
    try:
        os.read(reader, 1)
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_the_lock_is_held_from_acquire_to_release(home: Home) -> None:
    assert not is_running(home)
    lock = DaemonLock.acquire(home)
    assert is_running(home)
    assert home.pid.read_text() == f"{os.getpid()}\n"
    with pytest.raises(AlreadyRunningError):
        DaemonLock.acquire(home)
    lock.release()
    assert not is_running(home)
    assert not home.pid.exists()


def test_a_released_lock_can_be_acquired_again(home: Home) -> None:
    for _ in range(3):
        DaemonLock.acquire(home).release()


def test_a_lock_of_another_process_cannot_be_acquired(home: Home) -> None:
    with lock_in_another_process(home) as pid:
        assert is_running(home)
        with pytest.raises(AlreadyRunningError):
            DaemonLock.acquire(home)
        assert home.pid.read_text() == f"{pid}\n"


def test_a_killed_process_loses_the_lock(home: Home) -> None:
    with lock_in_another_process(home):
        pass
    assert home.pid.exists(), "a killed daemon cannot delete its file"
    assert not is_running(home)
    lock = DaemonLock.acquire(home)
    assert home.pid.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_one_of_several_concurrent_starts_gets_the_lock(home: Home) -> None:
    won: list[DaemonLock] = []
    begin = threading.Barrier(8)

    def start() -> None:
        begin.wait()
        with contextlib.suppress(AlreadyRunningError):
            won.append(DaemonLock.acquire(home))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].release()


def test_a_check_never_prevents_a_daemon_from_starting(home: Home) -> None:
    """A check holds a shared lock for an instant. A daemon that starts then waits for its end."""
    DaemonLock.acquire(home).release()
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            is_running(home)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(200):
            DaemonLock.acquire(home).release()
    finally:
        asking.set()
        thread.join()


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_a_failed_acquire_leaves_no_file_open(home: Home) -> None:
    lock = DaemonLock.acquire(home)
    before = open_files()
    for _ in range(5):
        with pytest.raises(AlreadyRunningError):
            DaemonLock.acquire(home)
        assert is_running(home)
    assert open_files() == before
    lock.release()


def test_children_do_not_inherit_the_lock(home: Home) -> None:
    """A program that the daemon started must not hold the lock after the daemon has died."""
    import subprocess

    lock = DaemonLock.acquire(home)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        assert not is_running(home)
        child.kill()


def test_a_daemon_gets_the_lock_on_a_full_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the process id, a hint for hooks, cannot be written."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    lock = DaemonLock.acquire(home)
    assert is_running(home)
    lock.release()
    assert not is_running(home)


def test_only_the_owner_can_read_the_files_of_the_lock(home: Home) -> None:
    lock = DaemonLock.acquire(home)
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert home.lock.stat().st_mode & 0o777 == 0o600
    lock.release()
