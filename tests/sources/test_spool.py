"""The spool: the format of its files, and how writers and the daemon use its folders."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.sources import spool as maildir
from claude_hooks_otel.sources.envelope import Envelope, EnvelopeError, decode
from claude_hooks_otel.sources.spool import BROKEN_KEPT, Broken, Lost, Spool
from claude_hooks_otel.timeline import WRITER_GONE_AFTER

# -- the envelope ------------------------------------------------------------------------------------------------------------

keys = st.text(st.characters(codec="utf-8", exclude_characters="=\n"), min_size=1, max_size=10).filter(
    lambda key: key != "event"
)
one_line = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=20)


@given(event=one_line, headers=st.dictionaries(keys, one_line, max_size=5), payload=st.binary(max_size=200))
def test_a_decoded_envelope_equals_the_encoded_one(event: str, headers: dict[str, str], payload: bytes) -> None:
    envelope = Envelope("name", 42, event, headers, payload)
    assert decode("name", 42, envelope.encode()) == envelope


@given(value=st.text(), payload=st.binary(max_size=50))
def test_a_value_of_several_lines_does_not_end_the_header(value: str, payload: bytes) -> None:
    """Only the first line of the value is kept, as the hook does it. The payload does not change."""
    decoded = decode("n", 0, Envelope("n", 0, "Stop", {"team": value}, payload).encode())
    assert (decoded.event, decoded.payload) == ("Stop", payload)
    expected = value.partition("\n")[0].encode(errors="replace").decode()
    assert decoded.headers == ({"team": expected} if value else {})


@given(st.binary(max_size=100) | st.binary(max_size=100).map(b"claude-hooks-otel 1\n".__add__))
def test_any_bytes_are_an_envelope_or_refused(content: bytes) -> None:
    whole = content.startswith(b"claude-hooks-otel 1\n") and b"\n\n" in content
    with nullcontext() if whole else pytest.raises(EnvelopeError, match="n: expected a header"):
        decode("n", 0, content)


@given(st.data())
def test_a_truncated_header_is_refused(data: st.DataObject) -> None:
    whole = Envelope("n", 0, "Stop", {"agent": "backend"}, b"").encode()
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(EnvelopeError):
        decode("n", 0, whole[:length])


def test_broken_utf8_in_a_header_is_replaced() -> None:
    decoded = decode("n", 0, b"claude-hooks-otel 1\nevent=Stop\nagent=\xffx\nodd\n\n\n\n")
    assert (decoded.headers, decoded.payload) == ({"agent": "\ufffdx", "odd": ""}, b"\n\n")


# -- the folders -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "home" / "spool")


def put(spool: Spool, name: str, content: bytes, age_s: float = 0, folder: str = "new") -> Path:
    """Write a file that a hook left ``age_s`` seconds ago."""
    path = spool.root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def whole(payload: bytes = b"{}") -> bytes:
    return Envelope("", 0, "Stop", {}, payload).encode()


def test_a_written_event_is_taken_again_until_it_is_done(spool: Spool) -> None:
    name = spool.write("measurement", {"agent": "backend"}, b"payload")
    [entry] = spool.take(10)
    assert isinstance(entry, Envelope)
    assert (entry.name, entry.event, entry.headers, entry.payload) == (
        name,
        "measurement",
        {"agent": "backend"},
        b"payload",
    )
    assert list(spool.take(10)) == [entry], "the event stays until it is done"
    spool.done([name, "one that never was"])
    assert list(spool.take(10)) == []


def test_only_the_owner_can_read_written_files_and_folders(spool: Spool) -> None:
    old = os.umask(0)
    try:
        spool.write("e", {}, b"")
    finally:
        os.umask(old)
    paths = [spool.root.parent, *spool.root.parent.rglob("*")]
    assert len(paths) == 5
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.parametrize("missing", ["tmp", "new"])
def test_a_write_makes_a_missing_folder(spool: Spool, missing: str) -> None:
    spool.write("e", {}, b"")
    for path in sorted((spool.root / missing).iterdir()):
        path.unlink()
    (spool.root / missing).rmdir()
    spool.write("e", {}, b"two")
    assert b"two" in [entry.payload for entry in spool.take(10) if isinstance(entry, Envelope)]


def test_many_threads_write_without_a_collision(spool: Spool) -> None:
    def write(first: int) -> None:
        for number in range(50):
            spool.write("e", {}, b"%d" % (first + number))

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(entry.payload) for entry in spool.take(1000) if isinstance(entry, Envelope)) == list(range(400))


def test_a_failed_write_leaves_no_file(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.write("e", {}, b"")
    monkeypatch.setattr(os, "rename", _fail_with(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        spool.write("e", {}, b"")
    assert list(spool.tmp.iterdir()) == []


def _fail_with(number: int) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_the_oldest_events_come_first(spool: Spool) -> None:
    for name, age in (("b", 10), ("a", 5), ("c", 20)):
        put(spool, name, whole(), age)
    assert [entry.name for entry in spool.take(10)] == ["c", "b", "a"]


def test_take_returns_at_most_the_given_number_of_events(spool: Spool) -> None:
    for number in range(30):
        put(spool, str(number), whole())
    assert len(list(spool.take(7))) == 7


def test_take_reads_one_file_at_a_time(spool: Spool) -> None:
    """A file that is deleted meanwhile is left out, because take does not read files in advance."""
    for number in range(5):
        put(spool, str(number), whole(), age_s=10 - number)
    entries = spool.take(5)
    assert next(entries).name == "0"
    (spool.new / "2").unlink()
    assert [entry.name for entry in entries] == ["1", "3", "4"]


def test_an_empty_file_is_a_lost_event_whose_name_is_known(spool: Spool) -> None:
    put(spool, "PostToolUse.1111-2222.77", b"")
    [entry] = spool.take(1)
    assert isinstance(entry, Lost)
    assert (entry.event, entry.session_id) == ("PostToolUse", "1111-2222")


@pytest.mark.parametrize(
    "content", [b"x", b"claude-hooks-otel 1\nevent=Stop", b"claude-hooks-otel 2\nevent=Stop\n\n", b"\0" * 5]
)
def test_a_file_that_no_writer_made_is_unreadable(spool: Spool, content: bytes) -> None:
    put(spool, "x", content)
    [entry] = spool.take(1)
    assert isinstance(entry, Broken)


def test_an_entry_that_is_no_file_is_ignored(spool: Spool) -> None:
    """Opening a pipe would block the daemon for ever. Other entries do not count towards the limit."""
    put(spool, "event", whole())
    (spool.new / "folder").mkdir()
    os.mkfifo(spool.new / "pipe")
    (spool.new / "link").symlink_to("/etc/passwd")
    assert [entry.name for entry in spool.take(1)] == ["event"]


def test_a_file_without_read_permission_is_unreadable(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(spool, "x", whole())
    monkeypatch.setattr(maildir, "open", _fail_with(errno.EACCES), raising=False)
    [entry] = spool.take(1)
    assert entry == Broken("x", "Permission denied")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_process_without_free_resources_counts_no_file_as_unreadable(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put(spool, "x", whole())
    monkeypatch.setattr(maildir, "open", _fail_with(number), raising=False)
    with pytest.raises(OSError, match=os.strerror(number)):
        list(spool.take(1))
    assert spool.depth() == 1


def test_without_a_folder_no_event_waits(spool: Spool) -> None:
    assert (list(spool.take(5)), spool.depth(), spool.changed(), spool.recover()) == ([], 0, 0, 0)


def test_the_spool_notices_that_a_file_arrives_or_leaves(spool: Spool) -> None:
    """It compares modification times of the folder. The test sets them, because the file system's clock is coarse."""
    spool.write("e", {}, b"")
    os.utime(spool.new, ns=(0, 0))
    assert spool.changed() == 0
    name = spool.write("e", {}, b"")
    assert spool.changed() > 0
    os.utime(spool.new, ns=(0, 0))
    spool.done([name])
    assert spool.changed() > 0


def test_depth_counts_up_to_a_limit(spool: Spool) -> None:
    for number in range(12):
        put(spool, str(number), whole())
    assert (spool.depth(), spool.depth(at_most=5)) == (12, 5)


def test_a_file_that_was_set_aside_is_kept_and_not_taken_again(spool: Spool) -> None:
    put(spool, "x", b"unreadable")
    spool.set_aside("x")
    spool.set_aside("x")  # the file is gone, so nothing happens
    assert (spool.broken / "x").read_bytes() == b"unreadable"
    assert spool.depth() == 0


def test_a_limited_number_of_files_is_set_aside(spool: Spool) -> None:
    for number in range(BROKEN_KEPT):
        put(spool, str(number), b"", folder="broken")
    put(spool, "one more", b"x")
    spool.set_aside("one more")
    assert len(list(spool.broken.iterdir())) == BROKEN_KEPT
    assert spool.depth() == 0


def test_on_a_full_disk_a_file_that_cannot_be_set_aside_is_deleted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(spool, "x", b"unreadable")
    monkeypatch.setattr(Path, "rename", _fail_with(errno.ENOSPC))
    spool.set_aside("x")
    assert spool.depth() == 0


# -- files of killed writers -------------------------------------------------------------------------------------------------


def test_files_of_dead_writers_are_recovered_and_those_of_running_ones_stay(spool: Spool) -> None:
    put(spool, "filler", whole())
    put(spool, "Stop.s.1", whole(b"late but whole"), WRITER_GONE_AFTER + 10, "tmp")
    put(spool, "Stop.s.2", whole()[:12], WRITER_GONE_AFTER + 10, "tmp")
    put(spool, "Stop.s.3", b"", WRITER_GONE_AFTER + 10, "tmp")
    put(spool, "Stop.s.4", b"being writ", 1, "tmp")
    assert spool.recover() == 3
    assert [path.name for path in spool.tmp.iterdir()] == ["Stop.s.4"]
    found = {entry.name[:8]: entry for entry in spool.take(10)}
    assert isinstance(found["Stop.s.1"], Envelope)
    assert found["Stop.s.1"].payload == b"late but whole"
    assert isinstance(found["Stop.s.2"], Broken)
    assert isinstance(found["Stop.s.3"], Lost)
    assert (found["Stop.s.3"].event, found["Stop.s.3"].session_id) == ("Stop", "s")


def test_files_of_two_dead_writers_with_the_same_name_are_both_recovered(spool: Spool) -> None:
    """Process ids repeat. A recovered file that still waits must not be replaced."""
    (spool.new).mkdir(parents=True)
    for payload in (b"first", b"second"):
        put(spool, "Stop.s.1", whole(payload), WRITER_GONE_AFTER + 1, "tmp")
        assert spool.recover() == 1
    assert sorted(entry.payload for entry in spool.take(5) if isinstance(entry, Envelope)) == [b"first", b"second"]


def test_the_age_of_a_file_is_measured_with_the_given_clock(spool: Spool) -> None:
    (spool.new).mkdir(parents=True)
    put(spool, "x", whole(), folder="tmp")
    assert spool.recover(now=lambda: time.time() + WRITER_GONE_AFTER - 5) == 0
    assert spool.recover(now=lambda: time.time() + WRITER_GONE_AFTER + 5) == 1


def test_writing_an_event_imports_only_the_standard_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import claude_hooks_otel.sources.spool; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"pydantic", "opentelemetry", "typer", "rich", "sqlite3"}
    assert maildir.__name__ == "claude_hooks_otel.sources.spool"
