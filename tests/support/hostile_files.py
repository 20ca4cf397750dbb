"""Makes files that nobody expects at a path: FIFOs, devices, circles of links, files of 50 GB without blocks on the disk."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

HUGE = 50 << 30
NESTED = b"[" * 100_000


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    """Leave a socket that nobody serves. Its address is relative, because an absolute one may be too long."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    """Make a node like ``/dev/zero``.

    Raises:
        PermissionError: only root can.
    """
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def circle(path: Path) -> None:
    path.symlink_to(path)


def link_to_shadow(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def dangling_link(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def huge(path: Path) -> None:
    """A file of zeros."""
    path.touch()
    os.truncate(path, HUGE)


def huge_record(path: Path) -> None:
    """A record that begins like any other, and has 50 GB."""
    path.write_bytes(b'{"type": "assistant", "sessionId": "')
    os.truncate(path, HUGE)


def large_line(path: Path) -> None:
    """A record just below the longest that is read, in characters that need four bytes in memory."""
    text = json.dumps(
        {"type": "user", "sessionId": "x", "message": {"content": "\U0001f600" + "y" * 3_000_000}}, ensure_ascii=False
    )
    path.write_bytes(text.encode() + b"\n")


def large_ascii_line(path: Path) -> None:
    """A record just below the longest that is read, in ASCII."""
    path.write_bytes(
        json.dumps({"type": "user", "sessionId": "x", "message": {"content": "y" * 12_000_000}}).encode() + b"\n"
    )


def too_large_line(path: Path) -> None:
    """A record that would need four times its bytes, because one of its characters does."""
    path.write_bytes(
        json.dumps({"type": "user", "sessionId": "x", "message": {"content": "\U0001f600" + "y" * 12_000_000}}).encode()
        + b"\n"
    )


def many_large_lines(path: Path) -> None:
    line = json.dumps({"type": "user", "sessionId": "x", "message": {"content": ["y" * 1000] * 1000}}).encode()
    path.write_bytes((line + b"\n") * 60)


def nested(path: Path) -> None:
    path.write_bytes(NESTED)


def nested_records(path: Path) -> None:
    path.write_bytes((b'{"type":"user","sessionId":"x","message":' + NESTED + b"\n") * 20)


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(1 << 20))


def number(path: Path) -> None:
    path.write_bytes(b'{"agentType": ' + b"9" * 60_000 + b"}")


def unreadable(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0)


EVERYWHERE: tuple[Callable[[Path], None], ...] = (
    fifo, folder, unix_socket, device, circle, link_to_shadow, link_to_zero, link_to_terminal, dangling_link, huge, noise, nested,
    unreadable,
)  # fmt: skip
