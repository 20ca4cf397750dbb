"""An installation with the real hook command and real daemon processes, and recorded sessions moved to the present."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.home.flush_requests import request_flush
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.sources.registration import REGISTERED, command
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import SECOND
from tests.support.corpus import RecordedHook, Scenario, replay_payload
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import EMIT

CLONE_NEWNS = 0x00020000  # unshare(2)
# Metrics that count the faults which these tests cause. They may differ although nothing is lost.
COUNTS_OF_FAULTS = {"claude.hooks.export.failures", "claude.hooks.events.dropped"}

_TIMESTAMP = re.compile(rb'"timestamp": ?"([0-9T:.-]+)Z"')
_START_TIME = re.compile(rb'"startTime": ?([0-9]+)')

Totals = dict[tuple[str, frozenset[tuple[str, Any]]], Any]


@dataclass(frozen=True)
class PlayedHook:
    """A recorded event with the payload and the time that a test gives it."""

    recorded: RecordedHook
    payload: bytes
    at_ns: int

    @property
    def event(self) -> str:
        return self.recorded.event


@dataclass
class RecordedSessions:
    """Scenarios whose times are moved so that each of them ended a second ago, in the transcripts too.

    Sessions without a recorded start or end are left out. The daemon counts them as over only after half an hour.
    """

    names: Iterable[str]
    projects: Path
    hooks: list[PlayedHook] = field(default_factory=list)

    def __post_init__(self) -> None:
        now = time.time()
        for name in self.names:
            scenario = Scenario(name)
            hooks = _complete_sessions(scenario)
            shift = now - 1 - max(hook.t for hook in scenario.hooks)
            scenario.write_transcripts(self.projects)
            for path in (self.projects).rglob("*.jsonl"):
                if path.stat().st_mtime >= now:  # only this scenario's files: those of earlier ones have an older time
                    path.write_bytes(_shifted(path.read_bytes(), shift))
                    os.utime(path, (now - 1, now - 1))
            self.hooks += [
                PlayedHook(hook, replay_payload(hook, self.projects), round((hook.t + shift) * SECOND))
                for hook in hooks
            ]


def _complete_sessions(scenario: Scenario) -> list[RecordedHook]:
    sessions: dict[str, list[RecordedHook]] = {}
    for hook in scenario.hooks:
        if hook.event in REGISTERED:
            sessions.setdefault(hook.fields["session_id"], []).append(hook)
    whole = [
        hooks for hooks in sessions.values() if (hooks[0].event, hooks[-1].event) == ("SessionStart", "SessionEnd")
    ]
    return sorted((hook for hooks in whole for hook in hooks), key=lambda hook: hook.t)


def _shifted(content: bytes, seconds: float) -> bytes:
    def moved(match: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(match[1].decode()) + timedelta(seconds=round(seconds, 3))
        return b'"timestamp":"%sZ"' % moment.isoformat(timespec="milliseconds").encode()

    def restarted(match: re.Match[bytes]) -> bytes:
        return b'"startTime":%d' % (int(match[1]) + round(seconds * 1000))

    return _START_TIME.sub(restarted, _TIMESTAMP.sub(moved, content))


class Installation:
    """A home, its hooks and its daemon.

    Args:
        folder: the folder of the home and of everything else.
        environ: more variables for the daemon.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        # The installation happened yesterday. Transcript lines from before it would not count.
        open_store(self.home.store, lambda: time.time_ns() - 24 * 3600 * SECOND).close()
        self._hook_homes = folder / "hook-homes"
        self.environ = {
            "PATH": "/usr/bin:/bin",
            HOME_VARIABLE: str(self.home.root),
            "CLAUDE_HOOKS_OTEL_DAEMON__EXPORT_DELAY_SECONDS": "0.05",
            **environ,
        }
        # More variables for the hooks of a session.
        self.session: dict[str, str] = {}
        self._forking: subprocess.Popen[str] | None = None
        self.pid: int | None = None

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def run_hook(
        self,
        hook: PlayedHook,
        kill_after: float | None = None,
        via: str = "",
        agent: str = "Backend",
        *,
        while_reading: bool = False,
    ) -> None:
        """Run the registered command as the client does. Its event arrives in the spool at the recorded time.

        Args:
            hook: the event.
            kill_after: seconds after which the hook gets SIGKILL, if it still runs. With None it lives.
            via: ``plugin`` if the plugin registered the hook.
            agent: the agent of the session.
            while_reading: the hook gets half of its payload and waits for the rest, so that the SIGKILL always hits it.
        """
        recorded = hook.recorded.env
        own = Home(self._hook_homes / str(threading.get_ident()))
        own.create()
        environ = {
            "PATH": "/usr/bin:/bin",  # no claude-hooks-otel on it: the tests start the daemon
            HOME_VARIABLE: str(own.root),
            "CLAUDE_AGENT_ID": agent,
            "CLAUDE_CODE_SESSION_ID": hook.recorded.fields["session_id"],
            **{
                name: recorded[name]
                for name in ("CLAUDE_PROJECT_DIR", "CLAUDE_CODE_ENTRYPOINT", "AI_AGENT")
                if name in recorded
            },
            **self.session,
        }
        if via == "plugin":
            environ["CLAUDE_PLUGIN_ROOT"] = str(EMIT.parent.parent)
        arguments = ["/bin/sh", "-c", command(hook.event, str(EMIT))]
        ended, held = (
            os.pipe()
        )  # the hook and its children hold one end, so a read of the other returns when all have ended
        with (
            os.fdopen(ended, "rb") as all_ended,
            subprocess.Popen(
                arguments, stdin=subprocess.PIPE, env=environ, start_new_session=True, pass_fds=[held]
            ) as process,
        ):
            os.close(held)
            try:
                if while_reading:
                    assert process.stdin is not None
                    process.stdin.write(hook.payload[: len(hook.payload) // 2])
                    process.stdin.flush()
                    process.wait(kill_after)
                else:
                    process.communicate(hook.payload, timeout=kill_after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            all_ended.read()
        if while_reading:
            assert process.returncode == -signal.SIGKILL
        for part in ("tmp", "new"):
            for path in (own.spool / part).iterdir():
                os.utime(path, ns=(hook.at_ns, hook.at_ns))
                path.rename(self.home.spool / part / f"{path.name}.{hook.at_ns}{via}")

    # -- the daemon ----------------------------------------------------------------------------------------------------

    def start(self) -> int:
        """Start a daemon process, as a hook does, and return its process id. forked_daemon.py makes that quick."""
        if self._forking is None:
            self._forking = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked_daemon"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self.environ,
                text=True,
            )
        self.pid = int(self._ask("start"))
        return self.pid

    def _ask(self, word: str) -> str:
        assert self._forking is not None
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        self._forking.stdin.write(f"{word}\n")
        self._forking.stdin.flush()
        return self._forking.stdout.readline()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the daemon and wait until its process is gone."""
        if self.pid is not None:
            os.kill(self.pid, number)
            self._ask("wait")
            self.pid = None

    def close(self) -> None:
        """End all processes."""
        self.kill()
        if self._forking is not None:
            self._forking.communicate()
            self._forking = None

    def waiting(self) -> int:
        """Return how many events are in the spool."""
        return sum(1 for _ in (self.home.spool / "new").iterdir())

    def count(self, table: str) -> int:
        """Return how many rows a table of the store has. Before the daemon's first transaction that is -1."""
        with contextlib.closing(connect(self.home.store, readonly=True)) as connection:
            try:
                return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
            except sqlite3.OperationalError:
                return -1


def totals(receiver: OtlpReceiver, only: Container[str] | None = None) -> Totals:
    """Return the newest totals at the receiver, of all counters and histograms or of some. Gauges have no total."""
    left_out = {point.name for point in receiver.metrics if point.kind == "gauge"} | COUNTS_OF_FAULTS
    return {
        key: value
        for key, value in receiver.latest_totals().items()
        if key[0] not in left_out and (only is None or key[0] in only)
    }


def wait_for_totals(
    receiver: OtlpReceiver, wanted: Totals, timeout: float = 30.0, only: Container[str] | None = None
) -> None:
    """Wait until the receiver has these totals. The error names what differs."""
    try:
        receiver.wait_for(lambda it: totals(it, only) == wanted, timeout)
    except TimeoutError:
        raise AssertionError(
            "\n".join(["the receiver never had the expected totals:", *_differences(totals(receiver, only), wanted)])
        ) from None


def final_totals(receiver: OtlpReceiver, installation: Installation) -> Totals:
    """Return the totals once every session is over, nothing follows it any more, and the receiver has everything."""
    wait_until(lambda: not installation.waiting() and not installation.count("followed_session"), 120)
    assert request_flush(installation.home, 60).ok
    return totals(receiver)


def _differences(found: Totals, wanted: Totals) -> Iterator[str]:
    for key in sorted(found.keys() | wanted.keys(), key=repr):
        if found.get(key) != wanted.get(key):
            yield f"{key[0]} {dict(sorted(key[1]))}: {found.get(key)}, expected {wanted.get(key)}"


def steps_back(receiver: OtlpReceiver) -> Iterator[str]:
    """Return each point of a cumulative series that is below an earlier one or has another start time than it."""
    newest: Totals = {}
    began: dict[Any, int] = {}
    for point in receiver.metrics:
        if point.kind == "gauge":
            continue
        value = point.value if isinstance(point.value, tuple) else (point.value,)
        if any(new < old for new, old in zip(value, newest.get(point.key, value), strict=True)):
            yield f"{point.name} {point.attributes}: {value} after {newest[point.key]}"
        if began.setdefault(point.key, point.start_ns) != point.start_ns:
            yield f"{point.name} {point.attributes}: began at {point.start_ns}, before that at {began[point.key]}"
        newest[point.key] = value


def wait_until(condition: Callable[[], Any], timeout: float = 30.0) -> None:
    """Wait for a condition of another process that sends no event when it becomes true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {timeout} s"
        time.sleep(0.02)


def on_a_small_disk(folder: Path, body: Callable[[], None], size: str = "12m") -> None:
    """Run ``body`` in a thread, with a tmpfs at ``folder`` that only this thread and its child processes see.

    Raises:
        PermissionError: this machine does not allow mount namespaces or mounting.
    """

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS):
            raise PermissionError(os.strerror(ctypes.get_errno()))
        for command_line in (
            ["mount", "--make-rprivate", "/"],
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)],
        ):
            if (done := subprocess.run(command_line, capture_output=True, text=True, check=False)).returncode:
                raise PermissionError(done.stderr.strip())
        body()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()
