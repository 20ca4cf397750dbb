"""An import that is interrupted, repeated, or runs beside a daemon has the totals of a single undisturbed one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.transcripts import make
from claude_hooks_otel.cli.interrupts import INTERRUPTED
from claude_hooks_otel.home.paths import Home
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.importer import Importer, Sums, sums
from tests.support.real_daemon import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TIMES = 20
# Several transactions for each process, so that an interruption leaves a part of the work done.
MEGABYTES = 30
# Of the interruptions, those that come before anything is read.
EARLY = 0.2
# Of the time that a whole import takes, the most that an interrupted one gets.
LONGEST = 0.6


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
    if process.returncode == INTERRUPTED:
        # With no message, nothing was read yet.
        assert errors == "" or errors.endswith("Stopped. Run the command again to go on.\n")
        assert "Traceback" not in errors
    elif process.returncode == 0:  # it was about to end
        assert json.loads(output)["ok"]
    else:  # Python was interrupted before it had read the package
        assert process.returncode in (1, -signal.SIGINT), errors
        # Before Python handles signals at all, it ends without a word.
        assert not errors or errors.rstrip().endswith("KeyboardInterrupt"), errors
        assert "fault of claude-hooks-otel" not in errors


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
