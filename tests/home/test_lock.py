"""One daemon per home: the lock that the operating system gives back when its holder dies."""

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
def another_process_holds(home: Home) -> Iterator[int]:
    """Yields its process id; it lives until it is killed."""
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


def test_it_is_held_from_acquire_to_release(home: Home) -> None:
    assert not is_running(home)
    lock = DaemonLock.acquire(home)
    assert is_running(home)
    assert home.pid.read_text() == f"{os.getpid()}\n"
    with pytest.raises(AlreadyRunningError):
        DaemonLock.acquire(home)
    lock.release()
    assert not is_running(home)
    assert not home.pid.exists()


def test_it_can_be_taken_again(home: Home) -> None:
    for _ in range(3):
        DaemonLock.acquire(home).release()


def test_another_process_keeps_it(home: Home) -> None:
    with another_process_holds(home) as pid:
        assert is_running(home)
        with pytest.raises(AlreadyRunningError):
            DaemonLock.acquire(home)
        assert home.pid.read_text() == f"{pid}\n"


def test_a_killed_holder_gives_it_back(home: Home) -> None:
    with another_process_holds(home):
        pass
    assert home.pid.exists(), "a killed daemon cannot tidy up"
    assert not is_running(home)
    lock = DaemonLock.acquire(home)
    assert home.pid.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_of_many_that_start_at_once_one_wins(home: Home) -> None:
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


def test_asking_never_keeps_a_daemon_from_starting(home: Home) -> None:
    """A question holds a shared lock for an instant; a daemon that starts in it waits for its end."""
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


def test_a_lost_lock_leaves_no_file_open(home: Home) -> None:
    lock = DaemonLock.acquire(home)
    before = open_files()
    for _ in range(5):
        with pytest.raises(AlreadyRunningError):
            DaemonLock.acquire(home)
        assert is_running(home)
    assert open_files() == before
    lock.release()


def test_children_do_not_inherit_it(home: Home) -> None:
    """A program that the daemon starts must not keep the lock when the daemon dies."""
    import subprocess

    lock = DaemonLock.acquire(home)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        assert not is_running(home)
        child.kill()


def test_a_full_disk_keeps_no_daemon_from_running(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process id is a hint for hooks; the lock is what counts."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    lock = DaemonLock.acquire(home)
    assert is_running(home)
    lock.release()
    assert not is_running(home)


def test_its_files_are_their_owners_alone(home: Home) -> None:
    lock = DaemonLock.acquire(home)
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert home.lock.stat().st_mode & 0o777 == 0o600
    lock.release()
