"""Side requests: what the client's account has and its transcript does not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from tests.support.machine import START_NS, Event, Machine, iso

MODEL = "claude-sonnet-4-5"


def _answer(seconds: float, name: str, tokens: int) -> dict[str, Any]:
    message = {"id": name, "model": MODEL, "content": [], "usage": {"input_tokens": tokens, "output_tokens": 1}}
    return {"type": "assistant", "timestamp": iso(seconds), "uuid": name, "message": message}


def _account(duration: float, tokens: int, output: int) -> dict[str, Any]:
    usage = {MODEL: {"inputTokens": tokens, "outputTokens": output, "costUSD": 0.01}}
    return {"type": "cost-state", "startTime": START_NS / 1e6, "totalDuration": duration, "modelUsage": usage}


def _run(began: float, ended: float, process: str, source: str) -> list[Event]:
    return [
        (began, process, "s", "SessionStart", {"source": source}),
        (ended, process, "s", "SessionEnd", {"reason": "other"}),
    ]


@pytest.mark.parametrize("late", [-0.1, 0.04], ids=["before", "after"])
@pytest.mark.parametrize("lost_end", [False, True])
def test_a_compaction_counts_whether_the_last_line_is_older_or_newer_than_the_end(
    tmp_path: Path, late: float, lost_end: bool
) -> None:
    """A later run of the session has requests of the same model. The client may write lines after its SessionEnd, or send none."""
    machine = Machine(tmp_path)
    first, compaction, last = (_run(0, 2, "1", "startup"), _run(10, 12, "2", "resume"), _run(20, 22, "3", "resume"))
    machine.receive(*first, *(compaction[:1] if lost_end else compaction), *last)
    boundary = {"type": "system", "subtype": "compact_boundary", "uuid": "c", "timestamp": iso(12 + late)}
    machine.write("s", _answer(1, "a", 100), _account(2000, 100, 1))
    machine.write("s", boundary, _account(4000, 1000, 301))
    machine.write("s", _answer(21, "b", 5000), _account(6000, 6000, 302))
    machine.read()
    machine.wait(120)
    [side] = machine.core.facts.select(model.AuxiliaryUsage)
    assert (side.input_tokens, side.output_tokens) == (900, 300)
    machine.core.store.close()
