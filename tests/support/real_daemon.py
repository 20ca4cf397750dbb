"""A home of its own with the real hook command, real daemon processes, and recorded sessions as if they had happened just now."""

from __future__ import annotations

import ctypes
import os
import re
import signal
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
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.sources.registration import REGISTERED, command
from claude_hooks_otel.units import SECOND
from tests.support.corpus import RecordedHook, Scenario, replay_payload
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.places import EMIT

CLONE_NEWNS = 0x00020000  # unshare(2)
# What may differ although nothing was lost: gauges are of the moment, failures and torn copies are what these tests cause.
OF_THE_FAULT = {"claude.hooks.export.failures", "claude.hooks.events.dropped"}

_TIMESTAMP = re.compile(rb'"timestamp": ?"([0-9T:.-]+)Z"')
_START_TIME = re.compile(rb'"startTime": ?([0-9]+)')

Totals = dict[tuple[str, frozenset[tuple[str, Any]]], Any]


@dataclass(frozen=True)
class PlayedHook:
    """A recorded event with the payload and the time of its new life."""

    recorded: RecordedHook
    payload: bytes
    at_ns: int

    @property
    def event(self) -> str:
        return self.recorded.event


@dataclass
class RecordedSessions:
    """Scenarios whose every time is moved, so that each of them ended a second ago; transcripts included.

    Sessions without a recorded start or end are left out: their end can only be inferred after half an hour.
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
                if path.stat().st_mtime >= now:  # this scenario's: the earlier ones have been given an older time
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
    """One home, its hooks and its daemon.

    Args:
        folder: where everything goes.
        environ: more variables for the daemon.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        # As if installed yesterday: what a transcript tells of the time before the installation counts nothing.
        open_store(self.home.store, lambda: time.time_ns() - 24 * 3600 * SECOND).close()
        self._desks = folder / "desks"
        self.environ = {
            "PATH": "/usr/bin:/bin",
            HOME_VARIABLE: str(self.home.root),
            "CLAUDE_HOOKS_OTEL_DAEMON__EXPORT_DELAY_SECONDS": "0.05",
            **environ,
        }
        self._nursery: subprocess.Popen[str] | None = None
        self.pid: int | None = None

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def run_hook(
        self, hook: PlayedHook, kill_after: float | None = None, via: str = "", agent: str = "Backend"
    ) -> bool:
        """Runs the registered command as the client does, and lets its event arrive at the recorded time.

        Args:
            hook: the event.
            kill_after: seconds after which it gets SIGKILL; None lets it live.
            via: ``plugin`` where the plugin registered it.
            agent: who acts.

        Returns:
            Whether it was killed.
        """
        recorded = hook.recorded.env
        desk = Home(self._desks / str(threading.get_ident()))
        desk.create()
        environ = {
            "PATH": "/usr/bin:/bin",  # no claude-hooks-otel on it: the tests start the daemon
            HOME_VARIABLE: str(desk.root),
            "CLAUDE_AGENT_ID": agent,
            "CLAUDE_CODE_SESSION_ID": hook.recorded.fields["session_id"],
            **{
                name: recorded[name]
                for name in ("CLAUDE_PROJECT_DIR", "CLAUDE_CODE_ENTRYPOINT", "AI_AGENT")
                if name in recorded
            },
        }
        if via == "plugin":
            environ["CLAUDE_PLUGIN_ROOT"] = str(EMIT.parent.parent)
        arguments = ["/bin/sh", "-c", command(hook.event, str(EMIT))]
        killed = False
        ended, held = (
            os.pipe()
        )  # the hook and its children hold one end: reading the other returns once all of them have ended
        with (
            os.fdopen(ended, "rb") as all_ended,
            subprocess.Popen(
                arguments, stdin=subprocess.PIPE, env=environ, start_new_session=True, pass_fds=[held]
            ) as process,
        ):
            os.close(held)
            try:
                process.communicate(hook.payload, timeout=kill_after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                killed = True
            all_ended.read()
        for part in ("tmp", "new"):
            for path in (desk.spool / part).iterdir():
                os.utime(path, ns=(hook.at_ns, hook.at_ns))
                path.rename(self.home.spool / part / f"{path.name}.{hook.at_ns}{via}")
        return killed

    # -- the daemon ----------------------------------------------------------------------------------------------------

    def start(self) -> int:
        """Starts a daemon process, as a hook does; returns its pid. Its imports were done before (see forked_daemon.py)."""
        if self._nursery is None:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked_daemon"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self.environ,
                text=True,
            )
        self.pid = int(self._tell("start"))
        return self.pid

    def _tell(self, word: str) -> str:
        assert self._nursery is not None
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(f"{word}\n")
        self._nursery.stdin.flush()
        return self._nursery.stdout.readline()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the daemon and waits until it is gone."""
        if self.pid is not None:
            os.kill(self.pid, number)
            self._tell("wait")
            self.pid = None

    def close(self) -> None:
        """Ends everything."""
        self.kill()
        if self._nursery is not None:
            self._nursery.communicate()
            self._nursery = None

    def waiting(self) -> int:
        """How many events are in the spool."""
        return sum(1 for _ in (self.home.spool / "new").iterdir())


def totals(receiver: OtlpReceiver, only: Container[str] | None = None) -> Totals:
    """What the receiver knows of all counters and histograms (or some), but those that tell of the fault itself."""
    of_the_moment = {point.name for point in receiver.metrics if point.kind == "gauge"} | OF_THE_FAULT
    return {
        key: value
        for key, value in receiver.latest_totals().items()
        if key[0] not in of_the_moment and (only is None or key[0] in only)
    }


def wait_for_totals(
    receiver: OtlpReceiver, wanted: Totals, timeout: float = 30.0, only: Container[str] | None = None
) -> None:
    """Waits until the receiver knows these totals, and says what differs if that never happens."""
    try:
        receiver.wait_for(lambda it: totals(it, only) == wanted, timeout)
    except TimeoutError:
        raise AssertionError(
            "\n".join(["not the totals wanted:", *_differences(totals(receiver, only), wanted)])
        ) from None


def settled_totals(receiver: OtlpReceiver, installation: Installation, quiet: float = 8.0) -> Totals:
    """The totals once nothing has changed for some seconds (the daemon closes a session five seconds after its end)."""
    seen: Totals = {}
    changed_at = time.monotonic()
    deadline = changed_at + 120
    while time.monotonic() < deadline:
        now = totals(receiver)
        if now != seen or installation.waiting():
            seen, changed_at = now, time.monotonic()
        elif time.monotonic() - changed_at > quiet:
            return seen
        with receiver.changed:
            receiver.changed.wait(0.25)
    raise TimeoutError("the totals never came to rest")


def _differences(found: Totals, wanted: Totals) -> Iterator[str]:
    for key in sorted(found.keys() | wanted.keys(), key=repr):
        if found.get(key) != wanted.get(key):
            yield f"{key[0]} {dict(sorted(key[1]))}: {found.get(key)}, wanted {wanted.get(key)}"


def steps_back(receiver: OtlpReceiver) -> Iterator[str]:
    """Every point of a cumulative series that is below an earlier one, or says that the series began at another time."""
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
    """Waits for something that no event tells of."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not so within {timeout} s"
        time.sleep(0.02)


def on_a_small_disk(folder: Path, body: Callable[[], None], size: str = "12m") -> None:
    """Runs ``body`` in a thread, with a tmpfs at ``folder`` that this thread alone and the processes it starts can see.

    Raises:
        PermissionError: mount namespaces, or mounting, are not permitted here.
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
