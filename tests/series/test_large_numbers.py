"""Absurdly large numbers cost only themselves: a session always counts, and so does everything after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.unknown import MOST_NAMES
from claude_hooks_otel.units import LARGEST_INTEGER, SECOND

NOW = 1_800_000_000 * SECOND
SESSION = "5e55"


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    made = assemble_core(Home(tmp_path), Config(), lambda: NOW, history_ns=0)
    with made.store.transaction():
        made.facts.identities.note(SESSION, 0, Identity("a", "p"))
    yield made
    made.store.close()


def values(core: Core, metric: Metric) -> dict[tuple[str, ...], int]:
    """Return label values without agent and project → total."""
    return {
        tuple(value for key, value in point.labels if key not in ("agent", "project")): point.value
        for point in core.totals.points()
        if point.metric == metric
    }


def hook(core: Core, event: str, number: int = 0, **fields: Any) -> None:
    name = f"{event}.{number}"
    payload = {"session_id": SESSION, "hook_event_name": event, **fields}
    content = Envelope(name, 0, event, {}, json.dumps(payload).encode()).encode()
    (core.spool.new / name).write_bytes(content)


def take_all(core: Core) -> None:
    while core.intake.take_events():
        pass
    core.intake.follow_sessions(everything=True)


def answers(core: Core, path: Path, count: int, tokens: int) -> None:
    """Write a transcript with some answers, and the event that names it."""
    usage = {"input_tokens": tokens, "output_tokens": tokens, "cache_read_input_tokens": tokens}
    lines = [
        {
            "type": "assistant", "sessionId": SESSION, "timestamp": "2026-11-20T12:30:00.123Z", "uuid": f"u{number}", "requestId": f"r{number}",
            "requestedModel": "claude-opus-4-5", "message": {"id": f"m{number}", "model": "claude-opus-4-5", "content": [], "usage": usage},
        }
        for number in range(count)
    ]  # fmt: skip
    path.parent.mkdir(parents=True)
    model_usage = {"claude-opus-4-5": {"inputTokens": count * tokens, "outputTokens": 9_999_999_999, "costUSD": 1e12}}
    account = {
        "type": "cost-state", "sessionId": SESSION, "startTime": 1795177800000, "totalDuration": 1, "modelUsage": model_usage,
    }  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in (*lines, account)))
    hook(core, "SessionStart", source="startup", transcript_path=str(path))


def test_a_session_whose_cost_exceeds_a_total_still_counts(core: Core, tmp_path: Path) -> None:
    """Each answer alone is possible. Together they cost more picodollars than 64 bits hold."""
    answers(core, tmp_path / "projects" / "p" / f"{SESSION}.jsonl", 60, 9_999_999_999)
    take_all(core)
    assert sum(values(core, catalog.SESSIONS).values()) == 1
    assert sum(values(core, catalog.API_REQUESTS).values()) == 60
    assert sum(values(core, catalog.TOKENS_OUTPUT).values()) == 60 * 9_999_999_999
    assert values(core, catalog.COST) == {("main", "claude-opus-4-5"): LARGEST_INTEGER}
    assert values(core, catalog.HOOK_EVENTS_DROPPED)["total_full",] >= 1
    hook(core, "UserPromptSubmit", prompt="go on", prompt_id="p")
    take_all(core)
    assert sum(values(core, catalog.PROMPTS).values()) == 1


def test_calls_after_an_absurdly_long_one_still_count(core: Core) -> None:
    for number in range(12):
        hook(
            core, "PostToolUse", number, tool_name="Bash", tool_use_id=f"toolu_0123456789ab{number}", tool_input={},
            tool_response={}, duration_ms=1e12,
        )  # fmt: skip
    take_all(core)
    hook(
        core,
        "PostToolUse",
        99,
        tool_name="Bash",
        tool_use_id="toolu_0123456789abcd",
        tool_input={},
        tool_response={},
        duration_ms=5,
    )
    take_all(core)
    assert values(core, catalog.TOOL_CALLS) == {("success", "bash"): 13}
    (histogram,) = [point for point in core.totals.points() if point.metric == catalog.TOOL_DURATION]
    assert histogram.value == LARGEST_INTEGER
    assert sum(histogram.bucket_counts) == 13
    assert values(core, catalog.HOOK_EVENTS_DROPPED)["total_full",] >= 1


def test_observations_after_a_full_histogram_of_a_program_still_count(core: Core) -> None:
    with core.store.transaction():
        for number in range(20):
            measurement = model.Measurement(
                measurement_id=str(number),
                name="claude.work",
                kind="histogram",
                unit="s",
                value=2**60,
                **Identity("a", "p").columns(),
            )
            core.facts.upsert(measurement)
    series = core.store.connection.execute("SELECT value, buckets FROM series WHERE metric = 'claude.work'").fetchall()
    assert [(value, sum(json.loads(buckets))) for value, buckets in series] == [(LARGEST_INTEGER, 20)]


def test_amounts_beyond_64_bits_are_bounded(core: Core) -> None:
    labels = (("agent", "a"), ("project", "p"))
    with core.store.transaction():
        core.totals.add(catalog.COST, labels, 2**80)
        core.totals.add(catalog.COST, labels, 1)
    with core.store.transaction():
        core.totals.add(catalog.COST, labels, 1)
    assert list(values(core, catalog.COST).values()) == [LARGEST_INTEGER]


def test_an_event_with_thousands_of_unknown_fields_fills_no_store(core: Core) -> None:
    hook(core, "Stop", **{f"field{number}": number for number in range(50_000)})
    for number in range(60):
        hook(core, "Stop", number + 1, **{f"field{number}.{each}": each for each in range(50)})
    take_all(core)
    (rows,) = core.store.connection.execute("SELECT COUNT(*) FROM drift").fetchone()
    assert rows <= MOST_NAMES + 2
    assert values(core, catalog.HOOK_EVENTS) == {("Stop",): 61}
