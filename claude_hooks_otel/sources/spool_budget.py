"""The budget of the spool: how many events may wait, how large they may be together, and for how long.

Events wait if nothing reads them: with the plugin and no package, or on a full or locked store. If they exceed the budget, the large ones
are reduced first, the oldest of them before the others: a tool's input and output go, which the transcript has too. Only then are events
dropped, the oldest first. ``hooks/emit`` keeps the same budget in POSIX sh where there is no package.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from claude_hooks_otel.sources.envelope import Envelope, EnvelopeError, decode
from claude_hooks_otel.sources.program_records import PREFIX
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.units import DAY

# One byte for each dropped event. Programs and hooks append to it, the daemon counts and deletes it.
DROPPED: Final = "dropped"
# A smaller event is not reduced.
LARGE: Final = 8192
# Longer fields are left out of a reduced payload. Paths are shorter.
_LONGEST_FIELD: Final = 1024
# The most files that are looked at in one round, so that memory is bounded. The next round looks at others.
_FILES_PER_ROUND: Final = 250_000
# Below this share of the budget, nothing more is dropped, so that not every event makes room for the next one.
_ENOUGH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Budget:
    """What may wait in a spool.

    Attributes:
        max_bytes: the size of all files together.
        max_files: how many events.
        max_age_ns: how long an event waits, nanoseconds.
    """

    max_bytes: int = 256_000_000
    max_files: int = 200_000
    max_age_ns: int = 30 * DAY


@dataclass(frozen=True, slots=True)
class _Waiting:
    received_ns: int
    size: int
    name: str


def keep_budget(spool: Spool, budget: Budget, now_ns: Callable[[], int] = time.time_ns) -> int:
    """Bring a spool back into its budget. Return how many events were dropped. They are counted in the file DROPPED.

    Raises:
        OSError: the spool cannot be read.
    """
    files, size = 0, 0
    found: list[_Waiting] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(spool.new) as entries:
        for entry in islice((entry for entry in entries if entry.is_file(follow_symlinks=False)), _FILES_PER_ROUND):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                files, size = files + 1, size + status.st_size
                found.append(_Waiting(status.st_mtime_ns, status.st_size, entry.name))
    oldest_ns = now_ns() - budget.max_age_ns
    expired = [waiting for waiting in found if waiting.received_ns < oldest_ns]
    if not expired and files <= budget.max_files and size <= budget.max_bytes:
        return 0
    dropped = _drop(spool, expired)
    kept = sorted((waiting for waiting in found if waiting.received_ns >= oldest_ns), key=lambda it: it.received_ns)
    size = sum(waiting.size for waiting in kept)
    if size > budget.max_bytes:
        size -= _reduce(spool, kept, size - round(budget.max_bytes * _ENOUGH))
    surplus: list[_Waiting] = []
    too_many = len(kept) > budget.max_files
    too_large = size > budget.max_bytes
    for number, waiting in enumerate(kept):
        is_enough = (not too_many or len(kept) - number <= budget.max_files * _ENOUGH) and (
            not too_large or size <= budget.max_bytes * _ENOUGH
        )
        if is_enough:
            break
        size -= min(waiting.size, LARGE)
        surplus.append(waiting)
    return dropped + _drop(spool, surplus)


def take_dropped(spool: Spool) -> int:
    """Return how many events were dropped since the last call. The caller adds them to a total."""
    path = spool.root / DROPPED
    counted = spool.root / f"{DROPPED}.counted"
    if not counted.exists():  # otherwise its number did not reach the store
        with contextlib.suppress(FileNotFoundError):
            path.rename(counted)
    try:
        return counted.stat().st_size
    except FileNotFoundError:
        return 0


def forget_dropped(spool: Spool) -> None:
    """Delete what ``take_dropped`` returned, once it is in the store."""
    (spool.root / f"{DROPPED}.counted").unlink(missing_ok=True)


def _drop(spool: Spool, waiting: list[_Waiting]) -> int:
    """Delete events, and count them."""
    number = 0
    for each in waiting:
        with contextlib.suppress(FileNotFoundError):
            (spool.new / each.name).unlink()
            number += 1
    if number:
        with (spool.root / DROPPED).open("ab") as file:
            file.write(b"." * number)
    return number


def _reduce(spool: Spool, waiting: list[_Waiting], wanted: int) -> int:
    """Reduce large events, the oldest first, until ``wanted`` bytes are saved. Return how many were."""
    saved = 0
    for each in waiting:
        if saved >= wanted:
            break
        if each.size <= LARGE:
            continue
        path = spool.new / each.name
        with contextlib.suppress(OSError, EnvelopeError, TypeError, ValueError, RecursionError):
            envelope = decode(each.name, each.received_ns, path.read_bytes())
            if envelope.event.startswith(PREFIX):
                continue  # everything in a program's record counts
            content = Envelope(
                each.name, each.received_ns, envelope.event, envelope.headers, reduced(envelope.payload)
            ).encode()
            draft = spool.tmp / f"{each.name}.reduced"
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            os.utime(draft, ns=(each.received_ns, each.received_ns))  # the time of receipt
            draft.rename(path)
            saved += each.size - len(content)
    return saved


def reduced(payload: bytes) -> bytes:
    """Return a payload without its long fields: a tool's input and output, a prompt, an answer.

    Raises:
        ValueError: it is no JSON.
        TypeError: it is no JSON object.
        RecursionError: it is nested too deeply.
    """
    value: Any = json.loads(payload)
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return json.dumps({name: field for name, field in value.items() if _is_short(field)}).encode()


def _is_short(field: Any) -> bool:
    return not isinstance(field, dict | list) and len(str(field)) <= _LONGEST_FIELD
