"""Simulate a day: 50 recorded sessions at once, one after the other, while the endpoint comes and goes at random.

The daemon's own loop runs in another process, with a clock that the benchmark advances. The first 27 simulated hours fill the store: with
``retention_days = 1``, from then on as much is forgotten as is added. The day after that is measured. The benchmark plays each recorded
session once without faults first. In the end, every total has to be that session's total times its number of copies, and every span and
log event has to be there. Pauses between tries and the times of housekeeping are shortened as the clock is hastened.

    python -m bench.soak [--hours 24] [--sessions 50] [--seed 1] [--protocol grpc]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.support import command_line, make_spool, resident_megabytes
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import REGISTERED
from claude_hooks_otel.units import HOUR, MINUTE, SECOND
from tests.support.corpus import RECORDED_PROJECTS, Scenario, replay_payload
from tests.support.growing_transcripts import GrowingTranscripts
from tests.support.otlp_points import points
from tests.support.otlp_receiver import OtlpReceiver, Received
from tests.support.real_daemon import COUNTS_OF_FAULTS

NAMES = ("basic-edit", "subagents", "tasks")
STEP = 2 * MINUTE  # between two looks at the daemon
LASTS = 26 * MINUTE  # of a session; after 30 silent minutes it would count as killed
BEGIN = 1_790_000_000 * SECOND
WARM_UP = 27 * HOUR  # until the store has forgotten the first sessions, and uses their room again
# Mean simulated times of the endpoint.
UP, DOWN = 90 * MINUTE, 25 * MINUTE
# What may grow from the first to the last quarter of the measured day.
BAR_MEMORY, BAR_DISK = 1.10, 1.10
TIMEOUT_S = 120.0
# How much faster than the wall clock the daemon's pauses are. Sixty seconds of pause would be hours of the simulated day.
HASTE = 200

_TIMESTAMP = re.compile(rb'"timestamp": ?"([0-9T:.-]+)Z"')
_START_TIME = re.compile(rb'"startTime": ?([0-9]+)')
_IDENTIFIER = re.compile(
    rb'"(?:session_id|sessionId|prompt_id|promptId|tool_use_id|toolUseID|sourceToolUseID|id|requestId|request_id|uuid|parentUuid'
    rb'|logicalParentUuid|leafUuid|messageId|message_id|agent_id|agentId)": ?"([^"\\]{12,})"'
)


@dataclass(frozen=True)
class Part:
    """Something that appears at a time: an event, or a line of a transcript.

    Attributes:
        after_ns: the time since the session's begin, in nanoseconds.
        event: the event's name; empty for a line of a transcript.
        place: the path of the transcript.
        headers: the headers of the event.
        content: the payload or the line.
    """

    after_ns: int
    event: str
    place: str
    headers: dict[str, str]
    content: bytes


class Template:
    """A recorded session that is stretched to LASTS, and of which any number of copies can be played."""

    def __init__(self, number: int, session_id: str, hooks: list[Any], lines: list[tuple[float, Path, bytes]]) -> None:
        self.agent = f"agent-{number}"
        self._begin_s = hooks[0].t
        self._stretch = LASTS / SECOND / max(1.0, hooks[-1].t - hooks[0].t)
        self.parts: list[Part] = []
        for hook in hooks:
            headers = {"agent": self.agent, "project_directory": hook.cwd, "entrypoint": "cli"}
            content = replay_payload(hook, Path(RECORDED_PROJECTS))
            self.parts.append(Part(self._after(hook.t), hook.event, "", headers, content))
        for at, path, line in lines:
            self.parts.append(Part(self._after(max(at, self._begin_s)), "", str(path), {}, line))
        self.parts.sort(key=lambda part: part.after_ns)
        everything = b"".join(part.content for part in self.parts)
        found = {session_id.encode(), *_IDENTIFIER.findall(everything)}
        self._identifiers = re.compile(b"|".join(sorted(map(re.escape, found), key=len, reverse=True)))
        assert len({identifier[:-6] for identifier in found}) == len(found), "two identifiers differ only at their end"

    def _after(self, at: float) -> int:
        return round((at - self._begin_s) * self._stretch * 1000) * (SECOND // 1000)

    def copy(self, number: int, begin_ns: int, projects: Path) -> Iterator[tuple[int, Part]]:
        """Yield the parts of a copy, each with its time in Unix nanoseconds."""
        tail = f"{number:06x}".encode()

        def renamed(content: bytes) -> bytes:
            return self._identifiers.sub(lambda found: found[0][:-6] + tail, content)

        def moved(found: re.Match[bytes]) -> bytes:
            at = datetime.fromisoformat(found[1].decode() + "+00:00").timestamp()
            then = datetime.fromtimestamp((begin_ns + self._after(at)) / SECOND, UTC)
            return b'"timestamp":"%sZ"' % then.isoformat(timespec="milliseconds").removesuffix("+00:00").encode()

        def restarted(found: re.Match[bytes]) -> bytes:
            return b'"startTime":%d' % ((begin_ns + self._after(int(found[1]) / 1000)) // (SECOND // 1000))

        for part in self.parts:
            content = renamed(part.content).replace(RECORDED_PROJECTS.encode(), f"{projects}/".encode())
            if not part.event:
                content = _START_TIME.sub(restarted, _TIMESTAMP.sub(moved, content))
            place = renamed(part.place.encode()).decode()
            yield begin_ns + part.after_ns, Part(part.after_ns, part.event, place, part.headers, content)


def templates() -> list[Template]:
    """Return a template for each recorded session with one beginning and one end."""
    found: list[Template] = []
    for name in NAMES:
        scenario = Scenario(name)
        lines = GrowingTranscripts(scenario, Path())._left  # noqa: SLF001 -- all lines with their times
        sessions: dict[str, list[Any]] = {}
        for hook in scenario.hooks:
            if hook.event in REGISTERED:
                sessions.setdefault(hook.fields["session_id"], []).append(hook)
        for session_id, hooks in sessions.items():
            events = [hook.event for hook in hooks]
            is_whole = (events[0], events[-1], events.count("SessionStart")) == ("SessionStart", "SessionEnd", 1)
            if is_whole:
                own = [line for line in lines if session_id in str(line[1])]
                found.append(Template(len(found), session_id, hooks, own))
    return found


class Tally(OtlpReceiver):
    """A receiver that counts what it accepts, and keeps nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[Any, Any] = {}
        self.items: Counter[str] = Counter()
        self.steps_back = 0
        self.number = 0

    def record(self, request: Received) -> None:
        """Count what an accepted request holds."""
        with self.changed:
            self.number += 1
            if not request.accepted:
                return
            if request.signal == "metrics":
                self._count_points(request.message)
            elif request.signal == "traces":
                for resource in request.message.resource_spans:
                    for scope in resource.scope_spans:
                        self.items.update(f"span {span.span_id.hex()}" for span in scope.spans)
            else:
                for resource in request.message.resource_logs:
                    for scope in resource.scope_logs:
                        for record in scope.log_records:
                            uid = next(pair for pair in record.attributes if pair.key == "log.record.uid")
                            self.items[f"log {uid.value.string_value}"] += 1

    def _count_points(self, message: Any) -> None:
        for point in points(message):
            if point.kind == "gauge" or point.name in COUNTS_OF_FAULTS:
                continue
            before = self.latest.get(point.key, point.value)
            self.steps_back += bool(before > point.value)
            self.latest[point.key] = point.value

    def kinds(self) -> Counter[str]:
        """Return how many different spans and log events arrived."""
        return Counter(name.partition(" ")[0] for name in self.items)


@dataclass
class World:
    """A home, its daemon in another process, and its sessions."""

    folder: Path
    receiver: Tally
    protocol: str
    now_ns: int = BEGIN
    copies: Counter[str] = field(default_factory=Counter)
    pending: list[tuple[int, Part]] = field(default_factory=list)
    state: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.spool = make_spool(self.home)
        self.projects = self.folder / "projects"
        endpoint = self.receiver.grpc if self.protocol == "grpc" else self.receiver.http
        environ = {
            "PATH": "/usr/bin:/bin",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
            "CLAUDE_HOOKS_OTEL_DAEMON__RETENTION_DAYS": "1",
        }
        command = [sys.executable, "-m", "bench.soak", "--daemon", str(self.home)]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        self._number = 0

    def begin(self, template: Template) -> None:
        """Begin one more copy of a session."""
        self._number += 1
        self.copies[template.agent] += 1
        self.pending += template.copy(self._number, self.now_ns, self.projects)
        self.pending.sort(key=lambda entry: entry[0])

    def step(self) -> None:
        """Let STEP pass: what was captured meanwhile appears, and the daemon works."""
        self.now_ns += STEP
        count = next((n for n, entry in enumerate(self.pending) if entry[0] > self.now_ns), len(self.pending))
        for number, (at_ns, part) in enumerate(self.pending[:count]):
            if part.event:
                path = self.spool / "new" / f"{part.event}.{at_ns}.{number}"
                path.write_bytes(Envelope(path.name, 0, part.event, part.headers, part.content).encode())
                os.utime(path, ns=(at_ns, at_ns))
            else:
                path = self.projects / part.place
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    file.write(part.content)
        del self.pending[:count]
        self._tell()

    def _tell(self) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{self.now_ns}\n")
        self.child.stdin.flush()
        self.state = json.loads(self.child.stdout.readline())

    def finish(self) -> None:
        """Let every session end, wait until everything is delivered, and end the daemon."""
        while self.pending:
            self.step()
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            self.step()
            if not (self.state["outbox"] or self.state["followed"] or self.state["pending"]):
                break
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait()

    def megabytes_on_disk(self) -> float:
        """Return the size of everything in the home."""
        return sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file()) / 1e6


def _reference(folder: Path, known: list[Template], protocol: str) -> tuple[dict[Any, Any], dict[str, Counter[str]]]:
    """Play each session once, without faults. Return its totals by its agent's series, and its items by agent."""
    items: dict[str, Counter[str]] = {}
    with Tally() as receiver:
        world = World(folder, receiver, protocol)
        for template in known:
            before = receiver.kinds()
            world.begin(template)
            while world.pending:
                world.step()
            for _ in range(400):
                world.step()
                if not (world.state["outbox"] or world.state["followed"] or world.state["pending"]):
                    break
            items[template.agent] = receiver.kinds() - before
        world.finish()
        return receiver.latest, items


def _soak(folder: Path, known: list[Template], options: argparse.Namespace) -> bool:
    totals, items = _reference(folder / "reference", known, options.protocol)
    dice = random.Random(options.seed)
    samples: list[tuple[float, float, float]] = []
    outages = Counter[str]()
    with Tally() as receiver:
        world = World(folder / "soak", receiver, options.protocol)
        endpoint = receiver.grpc if options.protocol == "grpc" else receiver.http
        length = WARM_UP + round(options.hours * HOUR)
        ends, is_up, change_ns = [BEGIN + dice.randrange(LASTS) for _ in range(options.sessions)], True, BEGIN
        while world.now_ns < BEGIN + length:
            for place, end_ns in enumerate(ends):
                if end_ns <= world.now_ns:
                    world.begin(dice.choice(known))
                    ends[place] = world.now_ns + LASTS
            if world.now_ns >= change_ns:
                is_up = not is_up or world.now_ns == BEGIN
                change_ns = world.now_ns + round(dice.expovariate(1 / (UP if is_up else DOWN)))
                outages[_switch(endpoint, dice, is_up=is_up)] += 1
            world.step()
            if world.now_ns >= BEGIN + WARM_UP:
                samples.append((world.state["megabytes"], world.megabytes_on_disk(), world.state["outbox"]))
        if not is_up:
            _switch(endpoint, dice, is_up=True)
        world.finish()
        return _report(world, receiver, totals, items, samples, outages)


def _switch(endpoint: Any, dice: random.Random, *, is_up: bool) -> str:
    """Bring the endpoint back, or let it be away, fail or hang. Return which."""
    if is_up:
        if endpoint._server is None:  # noqa: SLF001
            endpoint.come_back()
        endpoint.answer_normally()
        return "up"
    fault = dice.choice(("away", "failing", "hanging"))
    if fault == "away":
        endpoint.go_away()
    elif fault == "hanging":
        endpoint.hang()
    else:
        from grpc import StatusCode  # type: ignore[import-untyped]  # noqa: PLC0415

        endpoint.fail_with(StatusCode.UNAVAILABLE if "Grpc" in type(endpoint).__name__ else 503, "out of order")
    return fault


def _report(
    world: World,
    receiver: Tally,
    totals: dict[Any, Any],
    items: dict[str, Counter[str]],
    samples: list[tuple[float, float, float]],
    outages: Counter[str],
) -> bool:
    wrong = list(_wrong(world, receiver.latest, totals))
    wanted = sum(
        (Counter({k: n * world.copies[agent] for k, n in kinds.items()}) for agent, kinds in items.items()),
        Counter[str](),
    )
    found = receiver.kinds()
    again = sum(receiver.items.values()) - len(receiver.items)
    print(f"{sum(world.copies.values()):,} sessions; the endpoint was {dict(outages)}; {receiver.number:,} requests")
    print(f"totals: {len(receiver.latest):,} series, {len(wrong)} wrong, {receiver.steps_back} went back")
    for line in wrong[:20]:
        print(f"  {line}")
    lost = {kind: wanted[kind] - found[kind] for kind in wanted}
    print(f"items: {dict(found)} arrived, lost: {lost}, sent twice: {again}")
    names = ("at the start", "in the middle", "at the end")
    quarter = max(1, len(samples) // 4)
    middle = len(samples) // 2
    parts = (samples[:quarter], samples[middle - quarter // 2 : middle + quarter // 2 + 1], samples[-quarter:])
    means = [[sum(values) / len(part) for values in zip(*part, strict=True)] for part in parts]
    for name, (memory, disk, waiting) in zip(names, means, strict=True):
        print(
            f"{name}: {memory:.1f} MiB of memory, {disk:.1f} MB on disk, {waiting:,.0f} items waiting (means of a quarter)"
        )
    print(f"at most: {max(s[0] for s in samples):.1f} MiB of memory, {max(s[1] for s in samples):.1f} MB on disk")
    is_flat = means[2][0] <= means[0][0] * BAR_MEMORY and means[2][1] <= means[0][1] * BAR_DISK
    is_complete = not wrong and not any(lost.values()) and not receiver.steps_back
    print(f"{'nothing lost' if is_complete else 'SOMETHING IS LOST OR WRONG'}; {'flat' if is_flat else 'NOT FLAT'}")
    return is_complete and is_flat


def _wrong(world: World, found: dict[Any, Any], reference: dict[Any, Any]) -> Iterator[str]:
    """Yield each series whose total is not that of one session times the number of its copies."""
    for key in sorted(found.keys() | reference.keys(), key=repr):
        agent = dict(key[1]).get("agent")
        if agent is None:
            continue  # counts of the product's own events
        one, total = reference.get(key), found.get(key)
        copies = world.copies[str(agent)]
        if not copies:
            continue
        wanted = None if one is None else tuple(n * copies for n in one) if isinstance(one, tuple) else one * copies
        pairs = zip(_numbers(total), _numbers(wanted), strict=False)
        if total is None or wanted is None or any(abs(a - b) > 1e-6 * max(1.0, abs(b)) for a, b in pairs):
            yield f"{key[0]} {dict(sorted(key[1]))}: {total}, expected {wanted}"


def _numbers(value: Any) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _daemon(home: Path) -> int:
    """Run the daemon's loop, once for each time on standard input."""
    from claude_hooks_otel.daemon import loop as loops  # noqa: PLC0415 -- only the measured process imports it
    from claude_hooks_otel.delivery import deliveries, worker  # noqa: PLC0415
    from claude_hooks_otel.home.paths import Home  # noqa: PLC0415
    from claude_hooks_otel.store.connection import connect  # noqa: PLC0415

    worker.FIRST_RETRY, worker.LONGEST_RETRY = worker.FIRST_RETRY / HASTE, worker.LONGEST_RETRY / HASTE
    loops.RECOVER_EVERY = loops.RECOVER_EVERY / HASTE  # type: ignore[attr-defined, misc]
    deliveries.TRIM_EVERY = deliveries.TRIM_EVERY / HASTE  # type: ignore[attr-defined, misc]
    now_ns = BEGIN
    loop = loops.Loop(Home(home), os.environ, lambda: now_ns)
    connection = connect(Home(home).store, readonly=True)
    queries = {
        "outbox": "SELECT COUNT(*) FROM outbox",
        "followed": "SELECT COUNT(*) FROM followed_session",
        "pending": "SELECT COUNT(*) FROM pending_session WHERE session_id IN (SELECT session_id FROM followed_session)",
    }
    for line in sys.stdin:
        if int(line) // HOUR > now_ns // HOUR:
            loop._forgot_at = float("-inf")  # noqa: SLF001 -- it forgets every hour of the simulated clock
        now_ns = int(line)
        while loop.work():
            pass
        time.sleep(0.01)  # lets the delivery threads run
        state: dict[str, float] = {name: connection.execute(query).fetchone()[0] for name, query in queries.items()}
        print(json.dumps(state | {"megabytes": resident_megabytes()}), flush=True)
    loop.close()
    connection.close()
    return 0


def main() -> int:
    """Play the sessions, and print what arrived, what was lost, and how much memory and disk the daemon needed."""
    parser = command_line(__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="the simulated hours that are measured")
    parser.add_argument("--sessions", type=int, default=50, help="how many sessions run at once")
    parser.add_argument("--seed", type=int, default=1, help="of the outages and of the choice of sessions")
    parser.add_argument("--protocol", choices=("grpc", "http/protobuf"), default="grpc")
    parser.add_argument("--daemon", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.daemon:
        return _daemon(Path(options.daemon))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        met = _soak(Path(folder), templates(), options)
    print(f"took {time.monotonic() - began:.0f} s")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
