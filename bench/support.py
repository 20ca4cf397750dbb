"""What the benchmarks share: where things are, events by the thousand, and one way to print two sides and their ratio."""

from __future__ import annotations

import itertools
import os
import statistics
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import REGISTERED
from tests.support.corpus import RECORDED_PROJECTS, SCENARIOS, RecordedHook, Scenario

# Payload fields that tell one event, call or session from another.
_IDENTIFIERS = ("session_id", "prompt_id", "tool_use_id", "agent_id")


def recorded_hooks() -> list[RecordedHook]:
    """Every recorded event of a registered kind, scenario by scenario."""
    return [hook for name in SCENARIOS for hook in Scenario(name).hooks if hook.event in REGISTERED]


def events(projects: Path) -> Iterator[Envelope]:
    """The recorded events over and over, without end, under new identifiers in each round: no event is a copy of another.

    Args:
        projects: the folder that the payloads' transcript paths lead into.
    """
    hooks = recorded_hooks()
    parsed = [(hook, [str(value) for name in _IDENTIFIERS if (value := hook.fields.get(name))]) for hook in hooks]
    for number in itertools.count():
        tail = f"{number:08x}".encode()
        for position, (hook, identifiers) in enumerate(parsed):
            agent = f"agent-{zlib.crc32(identifiers[0].encode()) % 5}"  # the session's, for all its events
            payload = hook.payload.replace(RECORDED_PROJECTS.encode(), f"{projects}/".encode())
            for identifier in identifiers:
                payload = payload.replace(identifier.encode(), identifier.encode()[: -len(tail)] + tail)
            headers = {"agent": agent, "project": hook.cwd.rpartition("/")[2], "entrypoint": "cli"}
            yield Envelope(f"{hook.event}.{number}.{position}", 0, hook.event, headers, payload)


def fill(spool: Path, source: Iterator[Envelope], count: int) -> None:
    """Puts the next ``count`` events into a spool's ``new/``."""
    for envelope in itertools.islice(source, count):
        (spool / "new" / envelope.name).write_bytes(envelope.encode())


def one_core() -> None:
    """Keeps this process and its children on a single core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def resident_megabytes() -> float:
    """This process's resident memory (Linux: VmRSS of /proc/self/status, in KiB)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median, least and greatest of a series of measurements."""
    return f"{statistics.median(values):.{digits}f} {unit} (median of {len(values)}; {min(values):.{digits}f} to {max(values):.{digits}f})"


def compare(ours: float, other: float, bar: float, *, at_least: bool = False) -> bool:
    """Prints the ratio of two figures beside its bar; returns whether it is met."""
    ratio = ours / other
    met = ratio >= bar if at_least else ratio <= bar
    print(f"ratio: {ratio:.3f} (bar: at {'least' if at_least else 'most'} {bar:g}) {'met' if met else 'MISSED'}")
    return met
