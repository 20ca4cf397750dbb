"""Files that others name are read only if they are regular, small enough and of this user, and nothing waits for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claude_hooks_otel import foreign_files
from claude_hooks_otel.foreign_files import (
    MOST_HANGING,
    ForeignFileError,
    in_time,
    open_foreign,
    read_foreign,
    read_regular,
    walk_foreign,
)
from tests.support import hostile_files as files

READ = pytest.mark.parametrize("read", [read_foreign, read_regular])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config"


@READ
@pytest.mark.parametrize("make", [make for make in files.EVERYWHERE if make not in (files.noise, files.unreadable)])
def test_nothing_but_a_small_regular_file_is_read(
    path: Path, make: Callable[[Path], None], read: Callable[[Path, int], bytes]
) -> None:
    """Also not a device behind a link. Nothing waits for the writer of a FIFO."""
    try:
        make(path)
    except PermissionError as error:
        pytest.skip(f"this user cannot make it: {error}")
    if make is files.link_to_shadow and read is read_regular:
        pytest.skip("a person may name any regular file")
    with pytest.raises(OSError, match=r"."):
        read(path, 10_000)


@READ
def test_a_file_of_the_largest_size_is_read(path: Path, read: Callable[[Path, int], bytes]) -> None:
    path.write_bytes(b"x" * 10)
    assert read(path, 10) == b"x" * 10
    with pytest.raises(ForeignFileError, match="more than 9 bytes"):
        read(path, 9)


@READ
@pytest.mark.parametrize("name", ["a\0b", "y" * 5000, "\ud800"])
def test_a_path_that_cannot_exist_is_an_error(path: Path, name: str, read: Callable[[Path, int], bytes]) -> None:
    with pytest.raises(OSError, match=r"."):
        read(path.with_name(name) if "\0" not in name else Path(f"{path}{name}"), 10)


def test_a_link_is_followed_to_a_file_of_the_same_name_only(path: Path, tmp_path: Path) -> None:
    """Tools for several worktrees link ``config`` to ``config``."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("config", "other"):
        (shared / name).write_bytes(name.encode())
    path.symlink_to(shared / "config")
    assert read_foreign(path, 10) == b"config"
    path.unlink()
    path.symlink_to(shared / "other")
    with pytest.raises(ForeignFileError, match="another name"):
        read_foreign(path, 10)
    assert read_regular(path, 10) == b"other"


@pytest.mark.parametrize(
    ("user", "owner", "is_read"),
    [(1000, 1000, True), (1000, 0, True), (1000, 1001, False), (0, 0, True), (0, 1000, True)],
)
def test_only_files_of_the_user_and_of_root_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int, is_read: bool
) -> None:
    """Root reads all of them: in a container, mounted files have other owners."""
    path.write_bytes(b"x")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    status = os.stat_result((0o100600, 1, 1, 1, owner, owner, 1, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    if is_read:
        open_foreign(path).close()
    else:
        with pytest.raises(ForeignFileError, match="another user"):
            open_foreign(path)


def test_a_file_that_is_replaced_between_the_look_and_the_opening_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"x")
    opened = os.open

    def replaced(target: str, flags: int) -> int:
        path.unlink()
        files.fifo(path)
        return opened(target, flags)

    monkeypatch.setattr(os, "open", replaced)
    with pytest.raises(ForeignFileError, match="not a regular file"):
        open_foreign(path)


def test_a_walk_yields_regular_files_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It follows no links to folders, and looks at a bounded number of entries."""
    (tmp_path / "a").mkdir()
    for name in ("a/one", "two", "three"):
        (tmp_path / name).touch()
    files.fifo(tmp_path / "fifo")
    files.circle(tmp_path / "circle")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert {path.name for path in walk_foreign(tmp_path)} == {"one", "two", "three"}
    assert list(walk_foreign(tmp_path / "fifo")) == list(walk_foreign(tmp_path / "a\0b")) == []
    monkeypatch.setattr(foreign_files, "MOST_ENTRIES", 2)
    assert len(list(walk_foreign(tmp_path))) <= 2


# -- file systems that hang ----------------------------------------------------------------------------------------------


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A file system that answers as soon as the event is set. Calls do not wait long for it."""
    monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 0.01)
    answers = threading.Event()
    yield answers
    answers.set()
    for helper in list(foreign_files._hanging.values()):
        helper.join()


def test_a_place_that_hangs_is_looked_at_again_when_it_answers(
    mount: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_time("/mnt/a", mount.wait, otherwise=False) is False
    [hanging] = foreign_files._hanging.values()
    assert in_time("/mnt/a", lambda: True, otherwise=False) is False
    assert foreign_files._hanging == {"/mnt/a": hanging}  # no second thread waits for it
    mount.set()
    hanging.join()
    monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 60.0)
    assert in_time("/mnt/a", lambda: True, otherwise=False) is True


def test_other_places_are_looked_at_while_one_hangs(mount: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless too many hang: then none is."""
    for number in range(MOST_HANGING):
        monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 60.0)
        assert in_time("/home", lambda: True, otherwise=False) is True
        monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 0.01)
        assert in_time(f"/mnt/{number}", mount.wait, otherwise=False) is False
    assert in_time("/home", lambda: True, otherwise=False) is False


def test_an_error_of_a_call_is_raised() -> None:
    with pytest.raises(FileNotFoundError):
        in_time("/nowhere", Path("/nowhere").stat, otherwise=None)
    assert in_time("/nowhere", lambda: 1, otherwise=0) == 1
