"""An import that is interrupted, repeated, or runs beside a daemon has the totals of a single undisturbed one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.transcripts import make
from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import END_OF_TIME
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.places import ROOT
from tests.support.real_daemon import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TIMES = 20
# Several transactions for each process, so that an interruption leaves a part of the work done.
MEGABYTES = 30
# Of the interruptions, those that come before anything is read.
EARLY = 0.2
# Of the time that a whole import takes, the most that an interrupted one gets.
LONGEST = 0.6

# A file that is read several times counts once, in the half hour of the read that the store gets first.
OF_FIRST_READ = catalog.FILES_READ.name

Sums = Counter[tuple[str, Any, int]]


def sums(home: Home) -> Sums:
    """Return what a report adds up: each metric by labels and half hour."""
    core = assemble_core(home, Config(), time.time_ns)
    found: Sums = Counter()
    for each in read_aggregates(core.store.connection, 0, END_OF_TIME):
        found[each.metric, each.labels, 0 if each.metric == OF_FIRST_READ else each.begin_ns] += each.value
    core.store.close()
    return found


@dataclass
class Importer:
    """Runs the import command in a process group of its own."""

    folders: Sequence[Path]
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, home: Home, *arguments: str) -> subprocess.Popen[str]:
        """Start an import."""
        named = [argument for folder in self.folders for argument in ("--config-dir", str(folder))]
        return subprocess.Popen(
            [sys.executable, "-m", "claude_hooks_otel", "import", "--json", *named, *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home.root), HOME_VARIABLE: str(home.root), **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, home: Home, *arguments: str) -> dict[str, Any]:
        """Import to the end, and return the result."""
        with self.start(home, *arguments) as process:
            output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        found: dict[str, Any] = json.loads(output)
        return found


@dataclass
class History:
    """Transcripts, and what they are worth.

    Attributes:
        importer: imports them.
        sums: what an undisturbed import counts.
        startup: seconds until an import begins to read.
        seconds: how long an undisturbed import takes.
    """

    importer: Importer
    sums: Sums
    startup: float
    seconds: float


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The recorded sessions, and generated ones, in two configuration folders."""
    folder = tmp_path_factory.mktemp("history")
    for name in SCENARIOS:
        Scenario(name).write_transcripts(folder / "recorded" / "projects")
    make(folder / "generated", MEGABYTES * 1_000_000)
    importer, home = Importer([folder / "recorded", folder / "generated"]), Home(folder / "once")
    began = time.monotonic()
    importer.run(home, "--dry-run")
    startup = time.monotonic() - began
    importer.run(home)
    seconds = time.monotonic() - began - startup
    return History(importer, sums(home), startup, seconds)


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill all processes of an import, as a lost machine does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def kill_first(process: subprocess.Popen[str]) -> None:
    """Kill only the first process. The others have to end."""
    process.kill()
    process.communicate()
    wait_until(lambda: not _members(process.pid), 60)


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """Interrupt all processes, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert not _members(process.pid)
    # Before its own code runs, Python ends the program. If it was about to end, it has its result.
    assert process.returncode in (0, 130, -signal.SIGINT), errors
    if process.returncode == 130:
        assert errors.endswith("Stopped. Run the command again to go on.\n")
        assert "Traceback" not in errors
    else:
        assert process.returncode < 0 or json.loads(output)["ok"]


def kill_another(process: subprocess.Popen[str]) -> None:
    """Kill one of the other processes, as the kernel does when the memory is full. The import has to end with an error."""
    others = [pid for pid in _members(process.pid) if pid != process.pid]
    for pid in others[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0 or "Run the command again to go on." in errors
    assert not _members(process.pid)


def _members(group: int) -> list[int]:
    """Return the running processes of a group."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def interrupted(
    history: History, folder: Path, stop: Callable[[subprocess.Popen[str]], None], dice: random.Random
) -> Iterator[Home]:
    """Interrupt imports, in a new home whenever one is complete. Yield the homes, each complete."""
    stopped = 0
    for number in range(TIMES):
        home = Home(folder / f"home-{number}")
        is_complete = False
        while stopped < TIMES and not is_complete:
            read = history.startup + dice.uniform(0, LONGEST) * history.seconds
            process = history.importer.start(home)
            try:
                process.wait(dice.uniform(0, history.startup) if dice.random() < EARLY else read)
            except subprocess.TimeoutExpired:
                stop(process)
                stopped += 1
            else:
                _, errors = process.communicate()
                assert process.returncode == 0, errors
                is_complete = True
        history.importer.run(home)
        yield home
        if stopped == TIMES:
            return


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stop", [kill_all, kill_first, kill_another, press_ctrl_c])
def test_an_interrupted_import_counts_once(
    history: History, tmp_path: Path, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    homes = list(interrupted(history, tmp_path, stop, random.Random(15)))
    print(f"{TIMES} interruptions of {len(homes)} imports")  # with -rP
    for home in homes:
        assert sums(home) == history.sums


def test_an_import_that_is_repeated_reads_nothing(history: History, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first, second = history.importer.run(home), history.importer.run(home)
    assert (second["sessions"], second["bytes_read"]) == (0, 0)
    assert second["known"] == first["sessions"]
    assert sums(home) == history.sums
