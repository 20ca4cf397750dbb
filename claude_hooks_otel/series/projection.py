"""What each fact contributes to the series.

The contributions are a pure function of the fact. When a fact changes, each series moves by the difference. A fact contributes as soon
as its labels are known, and from then on its contributions only grow. Because facts merge in any order, the totals do not depend on the
order of events, on their delay or on duplicates.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import metric_of
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels, labels_of

# (metric, labels) → the amount of a counter, or the one observation of a histogram, in stored units.
Contributions = dict[tuple[Metric, Labels], int]


def _session_run(run: model.SessionRun) -> Contributions:
    if run.source is None:
        return {}
    found: Contributions = {(catalog.SESSIONS, run.labels(source=run.source)): 1}
    if run.ended_ns is not None and run.started_ns != model.INFERRED:
        found[catalog.SESSION_DURATION, run.labels()] = max(0, run.ended_ns - run.started_ns)
    if run.started_ns == model.INFERRED:
        found[catalog.TRANSCRIPT_ONLY, (("kind", "session"),)] = 1
    return found


def _turn(turn: model.Turn) -> Contributions:
    found: Contributions = {}
    if prompts := max(turn.prompts_seen_by_hooks or 0, turn.prompts_in_transcript or 0):
        found[catalog.PROMPTS, turn.labels()] = prompts
    if turn.agent is None:  # an interrupt mark in a transcript, without its prompt
        return {}
    if turn.started_ns is not None and turn.ended_ns is not None:
        found[catalog.TURN_DURATION, turn.labels()] = max(0, turn.ended_ns - turn.started_ns)
    if turn.active_ns:
        found[catalog.ACTIVE_TIME, turn.labels()] = turn.active_ns
    if turn.failure is not None:
        found[catalog.TURN_FAILURES, turn.labels(error=turn.failure)] = 1
    return found


def _usage(fact: model.ApiRequest | model.AuxiliaryUsage, agent_type: str) -> Contributions:
    labels, *of_caches = _usage_labels(fact.labels(), fact.model, agent_type)
    by_cache = (fact.input_tokens, fact.cache_read_tokens, fact.cache_write_5m_tokens, fact.cache_write_1h_tokens)
    found: Contributions = {
        (catalog.TOKENS_INPUT, of_cache): tokens for of_cache, tokens in zip(of_caches, by_cache, strict=True) if tokens
    }
    if fact.output_tokens:
        found[catalog.TOKENS_OUTPUT, labels] = fact.output_tokens
    if fact.cost is not None:
        found[catalog.COST, labels] = fact.cost
    else:
        tokens = sum(tokens or 0 for tokens in (*by_cache, fact.output_tokens))
        found[catalog.UNPRICED_TOKENS, fact.labels(model=fact.model)] = tokens
    return found


@functools.lru_cache(maxsize=1024)
def _usage_labels(identity: Labels, model_name: str | None, agent_type: str) -> tuple[Labels, ...]:
    """Return the labels of a usage, and with them the class of each kind of input tokens."""
    own = (("agent_type", agent_type), ("model", model_name))
    caches = ("none", "read", "write_5m", "write_1h")
    return labels_of(identity, own), *(labels_of(identity, (*own, ("cache", cache))) for cache in caches)


def _api_request(request: model.ApiRequest) -> Contributions:
    if request.agent_type is None or request.model is None:
        return {}
    outcome = "success" if request.error is None else "error"
    found = _usage(request, request.agent_type) if request.error is None else {}
    found[catalog.API_REQUESTS, request.labels(model=request.model, agent_type=request.agent_type, outcome=outcome)] = 1
    return found


def _tool_call(call: model.ToolCall) -> Contributions:
    if call.tool is None or call.outcome is None:
        return {}
    found: Contributions = {(catalog.TOOL_CALLS, call.labels(tool=call.tool, outcome=call.outcome)): 1}
    if call.duration_ns is not None:
        found[catalog.TOOL_DURATION, call.labels(tool=call.tool)] = call.duration_ns
    if call.transcript_only:
        found[catalog.TRANSCRIPT_ONLY, (("kind", "tool_call"),)] = 1
    return found


def _subagent_turn(turn: model.SubagentTurn) -> Contributions:
    if turn.outcome is None or turn.agent_type is None:
        return {}
    found: Contributions = {(catalog.SUBAGENTS, turn.labels(agent_type=turn.agent_type, outcome=turn.outcome)): 1}
    if turn.started_ns is not None and turn.ended_ns != model.INFERRED:
        duration = max(0, turn.ended_ns - turn.started_ns)
        found[catalog.SUBAGENT_DURATION, turn.labels(agent_type=turn.agent_type)] = duration
    if turn.ended_ns == model.INFERRED and turn.outcome == "completed":
        found[catalog.TRANSCRIPT_ONLY, (("kind", "subagent"),)] = 1
    return found


def _task(task: model.Task) -> Contributions:
    if task.task_type is None:
        return {}
    found: Contributions = {}
    if task.introduced_by is not None:
        found[catalog.BUGS, tuple(sorted(dict(task.labels(), agent=task.introduced_by).items()))] = 1
    if task.created_ns is not None:
        found[catalog.TASKS_CREATED, task.labels(task_type=task.task_type)] = 1
    if task.completed_ns is None:
        return found
    found[catalog.TASKS_COMPLETED, task.labels(task_type=task.task_type)] = 1
    found[catalog.STORY_POINTS, task.labels()] = task.story_points or 1
    if task.task_type == "feature":
        found[catalog.FEATURES, task.labels()] = 1
    if task.duration_ns is not None:
        found[catalog.TASK_DURATION, task.labels(task_type=task.task_type)] = task.duration_ns
    return found


def _suite_run(run: model.SuiteRun) -> Contributions:
    found: Contributions = {(catalog.TEST_RUNS, run.labels(framework=run.framework, outcome=run.outcome)): 1}
    counts = {"passed": run.passed, "failed": run.failed, "skipped": run.skipped, "error": run.errors}
    for outcome, count in counts.items():
        if count:
            found[catalog.TESTS, run.labels(framework=run.framework, outcome=outcome)] = count
    return found


def _permission_wait(wait: model.PermissionWait) -> Contributions:
    if wait.decision is None or wait.waited_ns is None:
        return {}
    return {
        (catalog.PERMISSION_REQUESTS, wait.labels(tool=wait.tool, decision=wait.decision)): 1,
        (catalog.PERMISSION_WAIT, wait.labels()): wait.waited_ns,
    }


def _measurement(measurement: model.Measurement) -> Contributions:
    metric = metric_of(measurement.name, measurement.kind or "", measurement.unit or "")
    if metric.kind is Kind.GAUGE or measurement.value is None:
        return {}  # a gauge has no total: ``series.program_gauges`` keeps its newest value
    return {(metric, measurement.labels(**json.loads(measurement.label_text or "{}"))): measurement.value}


_PROJECTIONS: dict[type, Callable[[Any], Contributions]] = {
    model.SessionRun: _session_run,
    model.Turn: _turn,
    model.ApiRequest: _api_request,
    model.AuxiliaryUsage: lambda usage: _usage(usage, "auxiliary"),
    model.ToolCall: _tool_call,
    model.FileChange: lambda change: {
        (metric, change.labels(file_type=change.file_type)): lines
        for metric, lines in ((catalog.LINES_ADDED, change.added), (catalog.LINES_DELETED, change.deleted))
        if lines
    },
    model.FileTouched: lambda touched: {
        (catalog.FILES_MODIFIED if touched.how == "modified" else catalog.FILES_READ, touched.labels()): 1
    },
    model.SubagentTurn: _subagent_turn,
    model.Compaction: lambda compaction: {
        (catalog.COMPACTIONS, compaction.labels(trigger=compaction.trigger)): max(
            compaction.seen_by_hooks or 0, compaction.in_transcript or 0
        )
    },
    model.Task: _task,
    model.GitCommit: lambda commit: {(catalog.COMMITS, commit.labels()): 1} if commit.is_new else {},
    model.GitBranch: lambda branch: {(catalog.BRANCHES, branch.labels()): 1},
    model.PullRequest: lambda request: {(catalog.PULL_REQUESTS, request.labels(action=request.action)): 1},
    model.PullRequestReview: lambda review: (
        {} if review.duration_ns is None else {(catalog.REVIEW_DURATION, review.labels()): review.duration_ns}
    ),
    model.Regression: lambda regression: {(catalog.BUGS, regression.labels()): regression.bugs or 0},
    model.PatternExtracted: lambda pattern: {(catalog.PATTERNS_EXTRACTED, pattern.labels()): 1},
    model.SuiteRun: _suite_run,
    model.PatternLoad: lambda load: {(catalog.PATTERN_LOADS, load.labels(pattern=load.pattern)): 1},
    model.ModelSwitch: lambda switch: {(catalog.MODEL_SWITCHES, switch.labels()): 1},
    model.PermissionWait: _permission_wait,
    model.Measurement: _measurement,
}


def contributions(fact: model.Fact | None) -> Contributions:
    """Return what a fact adds to the series, in stored units; nothing for None and for kinds that feed no series."""
    project = _PROJECTIONS.get(type(fact))
    return project(fact) if project else {}


class Account(Protocol):
    """Something that additions go to: the series of a store, or the instruments of a program."""

    def add(
        self, metric: Metric, labels: Labels, amount: int, at_ns: int | None = None, session_id: str | None = None
    ) -> None:
        """Add an amount, as ``SeriesTotals.add`` does."""


def apply_change(accounts: Sequence[Account], old: model.Fact | None, new: model.Fact) -> None:
    """Add the difference between two versions of a fact. A series never decreases, even if a contribution does."""
    before, at_ns = contributions(old), new.happened_ns
    session_id = getattr(new, "session_id", None)
    for (metric, labels), amount in contributions(new).items():
        gain = amount - before.get((metric, labels), 0)
        if metric.kind is Kind.HISTOGRAM:
            gain = -1 if (metric, labels) in before else amount
        elif not gain:
            continue
        if gain >= 0:
            for account in accounts:
                account.add(metric, labels, gain, at_ns, session_id)
