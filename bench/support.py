"""Code that the benchmarks share: the command line, events by the thousand, and how a comparison is printed."""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import REGISTERED
from tests.support.corpus import RECORDED_PROJECTS, SCENARIOS, RecordedHook, Scenario

# Payload fields that identify a session, prompt, call or agent.
_IDENTIFIERS = ("session_id", "prompt_id", "tool_use_id", "agent_id")


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that prints a module's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def make_spool(home: Path) -> Path:
    """Make the spool of a new home and return it."""
    for part in ("tmp", "new"):
        (home / "spool" / part).mkdir(parents=True)
    return home / "spool"


def recorded_hooks() -> list[RecordedHook]:
    """Return every recorded hook event of a registered kind, scenario by scenario."""
    return [hook for name in SCENARIOS for hook in Scenario(name).hooks if hook.event in REGISTERED]


def events(projects: Path) -> Iterator[Envelope]:
    """Yield the recorded events without end. Each round has new identifiers, so no event is a copy of another.

    Args:
        projects: The folder to which the payloads' transcript paths point.
    """
    hooks = recorded_hooks()
    parsed = [(hook, [str(value) for name in _IDENTIFIERS if (value := hook.fields.get(name))]) for hook in hooks]
    for number in itertools.count():
        tail = f"{number:08x}".encode()
        for position, (hook, identifiers) in enumerate(parsed):
            agent = f"agent-{zlib.crc32(identifiers[0].encode()) % 5}"  # one agent for all events of a session
            payload = hook.payload.replace(RECORDED_PROJECTS.encode(), f"{projects}/".encode())
            for identifier in identifiers:
                payload = payload.replace(identifier.encode(), identifier.encode()[: -len(tail)] + tail)
            headers = {"agent": agent, "project": hook.cwd.rpartition("/")[2], "entrypoint": "cli"}
            yield Envelope(f"{hook.event}.{number}.{position}", 0, hook.event, headers, payload)


def fill(spool: Path, source: Iterator[Envelope], count: int) -> None:
    """Write the next ``count`` events into a spool's ``new/``."""
    for envelope in itertools.islice(source, count):
        (spool / "new" / envelope.name).write_bytes(envelope.encode())


def one_core() -> None:
    """Keep this process and its children on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def resident_megabytes() -> float:
    """Return this process's resident memory in MiB, from VmRSS in Linux's /proc/self/status."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Return the median, the minimum and the maximum of some measurements as text."""
    return f"{statistics.median(values):.{digits}f} {unit} (median of {len(values)}; {min(values):.{digits}f} to {max(values):.{digits}f})"


def compare(ours: float, other: float, bar: float, *, at_least: bool = False) -> bool:
    """Print the ratio of two figures and its bar. Return whether the ratio meets the bar."""
    ratio = ours / other
    met = ratio >= bar if at_least else ratio <= bar
    print(f"ratio: {ratio:.3f} (bar: at {'least' if at_least else 'most'} {bar:g}) {'met' if met else 'MISSED'}")
    return met
