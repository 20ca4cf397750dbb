"""Runs the status line that was there before. Without ``subprocess``, whose import takes longer than the whole line."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping

# Seconds that it may take, and bytes that count.
TIMEOUT = 4.0
_MOST_OUTPUT = 1 << 16
_SIGPIPE, _SIGKILL = 13, 9


def output_of(command: str, content: bytes, environ: Mapping[str, str], timeout: float = TIMEOUT) -> str:
    """Return what a shell command prints, without the last line break; nothing if it fails or takes too long, as the client shows nothing then.

    Args:
        command: for ``/bin/sh -c``.
        content: its standard input.
        environ: its environment.
        timeout: seconds.
    """
    try:
        source, sink = os.pipe()
        ours, theirs = os.pipe()
        process = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", command],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, theirs, 1)],
            setsigdef=[_SIGPIPE],  # Python ignores it
        )
    except OSError:
        return ""
    os.close(source)
    os.close(theirs)
    deadline = time.monotonic() + timeout
    output, is_complete = _exchange(sink, ours, content, deadline)
    while is_complete:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return output.decode(errors="replace").rstrip("\n") if status == 0 else ""
        is_complete = time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process, _SIGKILL)
    os.waitpid(process, 0)
    return ""


def _exchange(sink: int, source: int, content: bytes, deadline: float) -> tuple[bytes, bool]:
    """Write and read at the same time, so that neither side waits for the other. Return the output, and whether it is complete."""
    os.set_blocking(sink, False)
    left, output = memoryview(content), b""
    is_open = True
    try:
        while True:
            if is_open and not left:
                os.close(sink)
                is_open = False
            seconds = deadline - time.monotonic()
            readable, writable, _ = select.select([source], [sink] if is_open else [], [], max(0.0, seconds))
            if not readable and not writable:
                return output, False
            if writable:
                try:
                    left = left[os.write(sink, left) :]
                except OSError:  # it does not read its input
                    left = left[:0]
            if readable:
                part = os.read(source, 65536)
                if not part:
                    return output, True
                output = (output + part)[:_MOST_OUTPUT]
    finally:
        if is_open:
            os.close(sink)
        os.close(source)
