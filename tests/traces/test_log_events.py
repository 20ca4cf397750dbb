"""The log events of recorded sessions agree with the client's own telemetry of these sessions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.traces import event_kinds as kinds
from claude_hooks_otel.traces import ids
from claude_hooks_otel.traces.codec import encode
from claude_hooks_otel.traces.log_events import events_of
from claude_hooks_otel.traces.model import LogEvent, Severity
from claude_hooks_otel.traces.session_facts import SessionFacts
from tests.support.corpus import Scenario
from tests.support.known_differences import REGISTERED_TWICE, UNTIMED
from tests.support.log_events import all_events
from tests.support.places import DATA
from tests.support.private_texts import answered, asked, leaked, not_private_in_traces
from tests.support.replay import Replay, play
from tests.support.span_trees import all_spans
from tests.support.truth import subagent_in_telemetry, telemetry_events


def _named(replay: Replay, name: str) -> list[LogEvent]:
    return [event for event in all_events(replay) if event.name == name]


def test_every_tool_result_is_one_event_with_the_duration_that_the_client_reports(played: Replay) -> None:
    found = _named(played, "claude.tool.result")
    by_call = {event.attributes["gen_ai.tool.call.id"]: event for event in found}
    assert len(by_call) == len(found)
    for reported in telemetry_events(played, "tool_result"):
        event = by_call[reported["tool_use_id"]]
        seconds = event.attributes["claude.duration"]
        assert isinstance(seconds, float)
        if event.attributes["claude.outcome"] == UNTIMED:
            assert 0 <= seconds - reported["duration_ms"] / 1000 < 1
        else:
            assert seconds == pytest.approx(reported["duration_ms"] / 1000)
        succeeded = str(reported["success"]).lower() == "true"
        assert (event.body, event.severity) == (
            ("tool succeeded", Severity.INFO) if succeeded else ("tool did not succeed", Severity.WARN)
        )
        assert event.attributes.get("claude.subagent.id") == subagent_in_telemetry(played, reported)


def test_every_turn_with_a_prompt_of_a_human_is_an_event(played: Replay) -> None:
    """The client counts prompts. Several of them can belong to one turn."""
    turns = [turn for turn in played.core.facts.select(model.Turn) if turn.started_ns is not None]
    asked_for = {turn.prompt_id for turn in turns if turn.prompts_seen_by_hooks or turn.prompts_in_transcript}
    assert {event.attributes["claude.prompt.id"] for event in _named(played, "claude.prompt")} == asked_for


def test_every_failed_request_is_an_event(played: Replay) -> None:
    failed = [request for request in played.core.facts.select(model.ApiRequest) if request.error]
    found = _named(played, "claude.api.error")
    assert sorted(str(event.attributes["error.type"]) for event in found) == sorted(str(one.error) for one in failed)
    assert {event.severity for event in found} <= {Severity.ERROR}


def test_every_start_and_end_of_a_session_is_an_event(played: Replay) -> None:
    """The hooks report them. A compaction starts no session."""
    hooks = [hook for hook in played.hooks if hook.event in ("SessionStart", "SessionEnd")]
    if played.scenario.name == REGISTERED_TWICE:
        hooks = list({(hook.event, hook.fields["session_id"]): hook for hook in hooks}.values())
    starts = Counter(hook.fields["source"] for hook in hooks if hook.event == "SessionStart")
    del starts["compact"]
    assert starts == Counter(
        event.attributes["claude.session.source"] for event in _named(played, "claude.session.start")
    )
    reported = Counter(hook.fields["reason"] for hook in hooks if hook.event == "SessionEnd")
    ended = Counter(
        str(event.attributes["claude.session.end_reason"]) for event in _named(played, "claude.session.end")
    )
    # In one recorded session two clients run at a time. Their ends count as one.
    assert reported - ended <= Counter({"other": 1} if played.scenario.name == "resume" else {})
    assert ended - reported <= Counter({"killed": 100})


def test_commits_pull_requests_tests_and_tasks_are_those_of_the_facts(played: Replay) -> None:
    for name, kind, where in (
        ("claude.commit", model.GitCommit, "session_id IS NOT NULL"),
        ("claude.branch", model.GitBranch, "session_id IS NOT NULL"),
        ("claude.pull_request", model.PullRequest, "session_id IS NOT NULL"),
        ("claude.test.run", model.SuiteRun, "session_id IS NOT NULL"),
        ("claude.task.created", model.Task, "created_ns IS NOT NULL"),
        ("claude.task.completed", model.Task, "completed_ns IS NOT NULL"),
        ("claude.model.switch", model.ModelSwitch, "session_id IS NOT NULL"),
        ("claude.subagent", model.SubagentTurn, "session_id IS NOT NULL"),
        ("claude.permission.decision", model.PermissionWait, "waited_ns IS NOT NULL"),
    ):
        found = _named(played, name)
        assert len(found) == len(played.core.facts.select(kind, where)), name
        assert len({event.uid for event in found}) == len(found)


def test_every_event_of_a_turn_names_an_existing_span(played: Replay) -> None:
    """The start and the end of a session belong to no turn."""
    known = {(span.trace_id, span.span_id) for span in all_spans(played)}
    for event in all_events(played):
        if event.name in ("claude.session.start", "claude.session.end"):
            assert (event.trace_id, event.span_id) == (None, None)
        else:
            assert (event.trace_id, event.span_id) in known, event


def test_events_have_only_bodies_and_attributes_of_the_table(played: Replay) -> None:
    """A body has no content of a session. It says what happened and whether it succeeded."""
    declared = {kind.name: kind for kind in kinds.KINDS}
    common = {"session.id", "gen_ai.conversation.id", "claude.agent", "claude.project", "claude.team", "claude.sprint"}
    for event in all_events(played):
        kind = declared[event.name]
        assert event.body in (kind.body, kind.failed)
        assert event.attributes.keys() <= {*common, *kind.attributes}


def test_no_event_has_private_text(played: Replay) -> None:
    text = "\n".join(encode(event) for event in all_events(played)).encode()
    private = (*asked(played.scenario), *answered(played.scenario))
    assert leaked(iter(private), text) - not_private_in_traces(played.scenario) == set()


def test_each_test_run_is_an_event_of_its_call(tmp_path: Path) -> None:
    """No recorded session runs tests, so the facts here are made up."""
    store = open_store(tmp_path / "store.db", lambda: 0)
    known = Facts(store)
    whose = {"session_id": "s", "agent": "backend", "project": "shop"}
    with store.transaction():
        known.upsert(model.Session(**whose, first_seen_ns=10, last_seen_ns=90))
        known.upsert(model.Turn(prompt_id="p", **whose, started_ns=10, ended_ns=90, prompts_seen_by_hooks=1))
        known.upsert(model.ToolCall(tool_use_id="t", **whose, tool="Bash", outcome="error", started_ns=20, ended_ns=40))
        for ordinal, outcome, failed in ((0, "passed", 0), (1, "failed", 2)):
            known.upsert(
                model.SuiteRun(
                    tool_use_id="t", ordinal=ordinal, **whose, framework="pytest", outcome=outcome, passed=7, failed=failed,
                    skipped=1, at_ns=40,
                )
            )  # fmt: skip
    facts = SessionFacts.of(known, "s")
    assert facts is not None
    runs = [event for event in events_of(facts).events if event.name == "claude.test.run"]
    store.close()
    assert {(run.body, run.severity) for run in runs} == {
        ("tests passed", Severity.INFO),
        ("tests did not pass", Severity.WARN),
    }
    assert {run.span_id for run in runs} == {ids.span_id("tool", "t")}
    failing = next(run for run in runs if run.severity is Severity.WARN)
    assert failing.attributes["claude.test.failed"] == 2
    assert failing.attributes["claude.test.framework"] == "pytest"


REVIEWED = DATA / "events"


@pytest.mark.parametrize("name", ["git-work", "permissions", "subagents"])
def test_the_events_equal_the_reviewed_ones(name: str, tmp_path: Path) -> None:
    """``python -m tests.traces.test_log_events`` writes the reviewed events again."""
    replay = play(Scenario(name), tmp_path)
    found = _lines(replay)
    replay.core.store.close()
    assert found == (REVIEWED / f"{name}.jsonl").read_text(encoding="utf-8")


def _lines(replay: Replay) -> str:
    return "".join(f"{json.dumps(json.loads(encode(event)))}\n" for event in all_events(replay))


def main() -> None:
    """Write the reviewed events again. Somebody has to review the difference."""
    import tempfile

    REVIEWED.mkdir(exist_ok=True)
    for name in ("git-work", "permissions", "subagents"):
        with tempfile.TemporaryDirectory() as folder:
            replay: Any = play(Scenario(name), Path(folder))
            (REVIEWED / f"{name}.jsonl").write_text(_lines(replay), encoding="utf-8")
            replay.core.store.close()


if __name__ == "__main__":
    main()
