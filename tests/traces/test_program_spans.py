"""Each outermost task or span of a program is a trace, whatever arrives first."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.traces.codec import decode
from claude_hooks_otel.traces.model import TRACES, Span
from claude_monitoring import AgentMonitor
from tests.support.replay import Clock

START_NS = 1_795_000_000_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(tmp_path)
    home.create()
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path))
    return home


def monitor() -> AgentMonitor:
    return AgentMonitor(agent_id="ci", project_name="shop")


def spans(home: Home, *, shuffled: int | None = None, twice: bool = False) -> dict[str, Span]:
    """Take in a program's records one by one, in any order, and return the written spans by name."""
    core = assemble_core(home, Config(), Clock(START_NS), wanted={TRACES: ["test"]})
    waiting = sorted((home.spool / "new").iterdir())
    if shuffled is not None:
        random.Random(shuffled).shuffle(waiting)
    contents = [(path.name, path.read_bytes()) for path in waiting]
    for path in waiting:
        path.unlink()
    for name, content in [*contents, *((f"{name}.again", content) for name, content in contents if twice)]:
        (home.spool / "new" / name).write_bytes(content)
        core.intake.take_events()
    rows = core.store.connection.execute("SELECT body FROM outbox").fetchall()
    core.store.close()
    found = [decode(body) for (body,) in rows]
    assert all(isinstance(span, Span) for span in found)
    by_name = {span.name: span for span in found if isinstance(span, Span)}
    assert len(by_name) == len(found)
    return by_name


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_nested_tasks_and_spans_are_one_trace_in_any_order_of_arrival(home: Home, seed: int | None) -> None:
    agent = monitor()
    with agent.track_task("build", complexity=3), agent.span("compile"), agent.span("link"):
        pass
    with agent.track_task("deploy"):
        pass
    found = spans(home, shuffled=seed, twice=True)
    assert found.keys() == {"build", "compile", "link", "deploy"}
    assert len({found[name].trace_id for name in ("build", "compile", "link")}) == 1
    assert found["deploy"].trace_id != found["build"].trace_id
    assert (found["build"].parent_id, found["deploy"].parent_id) == (None, None)
    assert found["compile"].parent_id == found["build"].span_id
    assert found["link"].parent_id == found["compile"].span_id
    assert found["build"].start_ns <= found["compile"].start_ns <= found["compile"].end_ns <= found["build"].end_ns
    assert found["build"].attributes == {"claude.agent": "ci", "claude.project": "shop", "claude.outcome": "success"}


def test_a_nested_span_is_within_its_parent_even_if_the_clock_is_set_back(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the wall clock takes long here, and the clock goes back an hour after the first reading. Only that reading counts."""
    monotonic = itertools.count(0, 10)
    monkeypatch.setattr(time, "perf_counter_ns", lambda: next(monotonic))

    readings = itertools.chain([START_NS], itertools.repeat(START_NS - 3_600_000_000_000))

    def read_slowly() -> int:
        for _ in range(1_000):
            next(monotonic)
        return next(readings)

    agent = AgentMonitor(agent_id="ci", project_name="shop", now_ns=read_slowly)
    with agent.track_task("build"), agent.span("compile"), agent.span("link"):
        pass
    with agent.track_task("deploy"):
        pass
    found = spans(home)
    at = [found["build"].start_ns, found["compile"].start_ns, found["link"].start_ns]
    at += [found["link"].end_ns, found["compile"].end_ns, found["build"].end_ns]
    assert [START_NS, *at, START_NS + 1_000_000] == sorted([START_NS, *at, START_NS + 1_000_000])
    assert found["deploy"].start_ns < found["build"].start_ns


def test_concurrent_tasks_are_separate_traces(home: Home) -> None:
    agent = monitor()

    async def work(name: str) -> None:
        async with agent.track_task(name):
            await asyncio.sleep(0)
            async with agent.span(f"{name}-part"):
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(work("one"), work("two"))

    asyncio.run(both())
    found = spans(home)
    assert found["one"].trace_id == found["one-part"].trace_id != found["two"].trace_id == found["two-part"].trace_id


def test_a_failed_task_is_an_error_span_and_an_unfinished_task_is_no_span(home: Home) -> None:
    agent = monitor()
    with pytest.raises(ValueError, match="no"), agent.track_task("broken"):
        raise ValueError("no")
    contextvars.copy_context().run(agent.track_task("killed").__enter__)
    found = spans(home)
    assert found.keys() == {"broken"}
    assert (found["broken"].error, found["broken"].attributes["error.type"]) == ("failure", "failure")
