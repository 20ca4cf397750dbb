"""The spool keeps its budget: large events are reduced before any is dropped, the oldest first, and dropped events are counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.sources import hook_payloads
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.spool_budget import DROPPED, Budget, forget_dropped, keep_budget, reduced, take_dropped
from claude_hooks_otel.units import DAY, SECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.hook_runs import run_hook, usual_home
from tests.support.places import EMIT

NOW = 1_800_000_000 * SECOND
BUDGET = Budget(max_bytes=100_000, max_files=50, max_age_ns=DAY)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    home = usual_home(tmp_path / "user")
    home.create()
    return Spool(home.spool)


def put(spool: Spool, name: str, age_seconds: float, size: int = 0, now_ns: int = NOW, **fields: Any) -> Path:
    """Write the event of a tool call with an output of some size."""
    payload = {
        "session_id": "s", "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": "x"},
        "tool_response": {"stdout": "x" * size}, "tool_use_id": f"toolu_{name}", "duration_ms": 5, **fields,
    }  # fmt: skip
    path = spool.new / f"PostToolUse.s.{name}"
    path.write_bytes(
        Envelope(path.name, 0, "PostToolUse", {}, json.dumps(payload, separators=(",", ":")).encode()).encode()
    )
    at = now_ns - round(age_seconds * SECOND)
    os.utime(path, ns=(at, at))
    return path


def waiting(spool: Spool) -> dict[str, dict[str, Any]]:
    """Return name → payload of every waiting event. Each can be parsed."""
    found = [entry for entry in spool.take(10_000) if isinstance(entry, Envelope)]
    assert len(found) == spool.depth()
    for entry in found:
        hook_payloads.parse(entry.payload)
    return {entry.name.rpartition(".")[2]: json.loads(entry.payload) for entry in found}


def test_a_spool_within_its_budget_stays_as_it_is(spool: Spool) -> None:
    paths = [put(spool, str(number), number, 1000) for number in range(50)]
    before = [path.read_bytes() for path in paths]
    assert keep_budget(spool, BUDGET, lambda: NOW) == 0
    assert [path.read_bytes() for path in paths] == before
    assert take_dropped(spool) == 0


def test_events_that_wait_for_too_long_are_dropped_and_counted(spool: Spool) -> None:
    put(spool, "old", 86401)
    put(spool, "new", 86399)
    assert keep_budget(spool, BUDGET, lambda: NOW) == 1
    assert waiting(spool).keys() == {"new"}
    assert take_dropped(spool) == 1


def test_the_oldest_large_events_are_reduced_before_any_is_dropped(spool: Spool) -> None:
    ages = {name: age for age, name in enumerate(("newest", "newer", "older", "oldest"), start=1)}
    received = {name: put(spool, name, age, 40_000).stat().st_mtime_ns for name, age in ages.items()}
    put(spool, "small", 9)
    assert keep_budget(spool, BUDGET, lambda: NOW) == 0
    found = waiting(spool)
    assert {name for name, payload in found.items() if "tool_response" not in payload} == {"oldest", "older"}
    assert found["oldest"] == {
        "session_id": "s", "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "toolu_oldest", "duration_ms": 5,
    }  # fmt: skip
    for name, at in received.items():
        assert (spool.new / f"PostToolUse.s.{name}").stat().st_mtime_ns == at, "the time of receipt"
        assert (spool.new / f"PostToolUse.s.{name}").stat().st_mode & 0o077 == 0 or name not in ("oldest", "older")


def test_with_too_many_events_the_oldest_are_dropped(spool: Spool) -> None:
    for number in range(60):
        put(spool, str(number), number)
    assert keep_budget(spool, BUDGET, lambda: NOW) == 15
    assert waiting(spool).keys() == {str(number) for number in range(45)}
    assert take_dropped(spool) == 15


def test_records_of_programs_are_not_reduced(spool: Spool) -> None:
    name = spool.write("sdk.metric", {}, json.dumps({"labels": {"x": "y" * 120_000}}).encode())
    assert keep_budget(spool, BUDGET) == 1
    assert not (spool.new / name).exists()


def test_a_damaged_event_is_dropped_if_it_is_too_large(spool: Spool) -> None:
    (spool.new / "PostToolUse.s.1").write_bytes(b"[" * 200_000)
    assert keep_budget(spool, BUDGET) == 1


def test_dropped_events_count_once(spool: Spool) -> None:
    """Also if the daemon is killed before the number is in the store, and if more are dropped meanwhile."""
    (spool.root / DROPPED).write_bytes(b"...")
    assert take_dropped(spool) == 3
    (spool.root / DROPPED).write_bytes(b".....")
    assert take_dropped(spool) == 3
    forget_dropped(spool)
    assert take_dropped(spool) == 5
    forget_dropped(spool)
    assert take_dropped(spool) == 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_event_can_be_reduced(name: str) -> None:
    """What identifies the event stays, and so does what only hooks report."""
    for hook in Scenario(name).hooks:
        small = hook_payloads.parse(reduced(hook.payload))
        whole = hook_payloads.parse(hook.payload)
        for field in (
            "session_id",
            "hook_event_name",
            "transcript_path",
            "tool_use_id",
            "agent_id",
            "duration_ms",
            "prompt_id",
        ):
            assert getattr(small, field, None) == getattr(whole, field, None)


# -- without a package: hooks/emit -------------------------------------------------------------------------------------------


def run_emit(tmp_path: Path, kilobytes: int, files: int, event: str = "SessionStart") -> None:
    """Run a hook with smaller limits, and everything that it starts, to the end."""
    text = EMIT.read_text()
    for number, smaller in ((256000, kilobytes), (180000, files * 9 // 10), (200000, files)):
        assert str(number) in text
        text = text.replace(str(number), str(smaller))
    emit = tmp_path / "emit"
    emit.write_text(text)
    payload = json.dumps({"session_id": "s", "hook_event_name": event}).encode()
    run_hook(tmp_path / "user", emit=emit, event=event, payload=payload)


def test_without_a_package_the_start_of_a_session_keeps_the_budget(tmp_path: Path, spool: Spool) -> None:
    put(spool, "expired", 32 * 86400, now_ns=time.time_ns())
    for number in range(20):
        put(spool, str(number), 100 + number, 40_000, now_ns=time.time_ns())
    run_emit(tmp_path, kilobytes=500, files=1000)
    found = waiting(spool)
    assert len(found) == 21  # the session's start, too
    assert all("tool_response" not in payload and "tool_input" not in payload for payload in found.values())
    assert found["7"]["tool_use_id"] == "toolu_7"
    assert found["7"]["duration_ms"] == 5
    assert take_dropped(spool) == 1
    assert list(spool.tmp.iterdir()) == []


def test_without_a_package_the_oldest_of_too_many_events_are_dropped(tmp_path: Path, spool: Spool) -> None:
    for number in range(30):
        put(spool, str(number), 100 + number, now_ns=time.time_ns())
    run_emit(tmp_path, kilobytes=256000, files=20)
    assert {name for name in waiting(spool) if name.isdecimal() and int(name) < 100} == {
        str(number) for number in range(17)
    }
    assert take_dropped(spool) == 13


@pytest.mark.parametrize("event", ["PostToolUse", "UserPromptSubmit", "Stop"])
def test_other_events_do_not_look_at_the_budget(tmp_path: Path, spool: Spool, event: str) -> None:
    for number in range(30):
        put(spool, str(number), 100 + number, now_ns=time.time_ns())
    run_emit(tmp_path, kilobytes=1, files=20, event=event)
    assert spool.depth() == 31


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_shell_reduces_every_recorded_tool_call_to_a_valid_event(name: str, tmp_path: Path) -> None:
    """The real client writes ``tool_use_id`` after the input and the output."""
    expression = re.search(r"LC_ALL=C sed '([^']*)'", EMIT.read_text())
    assert expression
    sed = shutil.which("sed")
    assert sed
    hooks = [hook for hook in Scenario(name).hooks if hook.event.startswith("PostToolUse")]
    (tmp_path / "payloads").write_bytes(b"".join(hook.payload.replace(b"\n", b"") + b"\n" for hook in hooks))
    command = [sed, expression[1], str(tmp_path / "payloads")]
    lines = subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C"}).stdout.splitlines()
    assert len(lines) == len(hooks)
    for hook, line in zip(hooks, lines, strict=True):
        small, whole = json.loads(line), hook.fields
        assert "tool_input" not in small
        assert small == {key: value for key, value in whole.items() if key in small}
        assert {"tool_use_id", "tool_name", "session_id"} <= small.keys()
