"""What each fact contributes to the series: a pure function of the fact, so that a change of it moves the series by the difference.

A fact contributes once it knows its labels; from then on its contributions only grow. Together with facts that merge in any order
this makes the totals independent of the order, the number and the lateness of what was seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from claude_hooks_otel.facts import model
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import metric_of
from claude_hooks_otel.metrics.definition import Kind, Metric
from claude_hooks_otel.metrics.labels import Labels, normalize

# (metric, labels) → counter: amount; histogram: the one observation. Stored units.
Contributions = dict[tuple[Metric, Labels], int]


def _with(fact: model.Fact, **labels: str | None) -> Labels:
    return tuple(sorted((*fact.labels(), *((name, normalize(value)) for name, value in labels.items()))))


def _session_run(run: model.SessionRun) -> Contributions:
    if run.source is None:
        return {}
    found: Contributions = {(catalog.SESSIONS, _with(run, source=run.source)): 1}
    if run.ended_ns is not None and run.started_ns != model.INFERRED:
        found[catalog.SESSION_DURATION, _with(run)] = max(0, run.ended_ns - run.started_ns)
    if run.started_ns == model.INFERRED:
        found[catalog.TRANSCRIPT_ONLY, (("kind", "session"),)] = 1
    return found


def _turn(turn: model.Turn) -> Contributions:
    found: Contributions = {}
    if prompts := max(turn.prompts_seen_by_hooks or 0, turn.prompts_in_transcript or 0):
        found[catalog.PROMPTS, _with(turn)] = prompts
    if turn.agent is None:  # a mark in a transcript whose prompt nobody saw
        return {}
    if turn.started_ns is not None and turn.ended_ns is not None:
        found[catalog.TURN_DURATION, _with(turn)] = max(0, turn.ended_ns - turn.started_ns)
    if turn.active_ns:
        found[catalog.ACTIVE_TIME, _with(turn)] = turn.active_ns
    if turn.failure is not None:
        found[catalog.TURN_FAILURES, _with(turn, error=turn.failure)] = 1
    return found


def _usage(fact: model.ApiRequest | model.AuxiliaryUsage, agent_type: str) -> Contributions:
    found: Contributions = {}
    for cache, tokens in (
        ("none", fact.input_tokens),
        ("read", fact.cache_read_tokens),
        ("write_5m", fact.cache_write_5m_tokens),
        ("write_1h", fact.cache_write_1h_tokens),
    ):
        if tokens:
            found[catalog.TOKENS_INPUT, _with(fact, model=fact.model, agent_type=agent_type, cache=cache)] = tokens
    if fact.output_tokens:
        found[catalog.TOKENS_OUTPUT, _with(fact, model=fact.model, agent_type=agent_type)] = fact.output_tokens
    if fact.cost is not None:
        found[catalog.COST, _with(fact, model=fact.model, agent_type=agent_type)] = fact.cost
    else:
        tokens = sum((fact.input_tokens or 0, fact.cache_read_tokens or 0, fact.cache_write_5m_tokens or 0,
                      fact.cache_write_1h_tokens or 0, fact.output_tokens or 0))  # fmt: skip
        found[catalog.UNPRICED_TOKENS, _with(fact, model=fact.model)] = tokens
    return found


def _api_request(request: model.ApiRequest) -> Contributions:
    if request.agent_type is None or request.model is None:
        return {}
    outcome = "success" if request.error is None else "error"
    found = _usage(request, request.agent_type) if request.error is None else {}
    found[catalog.API_REQUESTS, _with(request, model=request.model, agent_type=request.agent_type, outcome=outcome)] = 1
    return found


def _auxiliary_usage(usage: model.AuxiliaryUsage) -> Contributions:
    return _usage(usage, "auxiliary")


def _tool_call(call: model.ToolCall) -> Contributions:
    if call.tool is None or call.outcome is None:
        return {}
    found: Contributions = {(catalog.TOOL_CALLS, _with(call, tool=call.tool, outcome=call.outcome)): 1}
    if call.duration_ns is not None:
        found[catalog.TOOL_DURATION, _with(call, tool=call.tool)] = call.duration_ns
    if call.transcript_only:
        found[catalog.TRANSCRIPT_ONLY, (("kind", "tool_call"),)] = 1
    return found


def _file_change(change: model.FileChange) -> Contributions:
    found: Contributions = {}
    if change.added:
        found[catalog.LINES_ADDED, _with(change, file_type=change.file_type)] = change.added
    if change.deleted:
        found[catalog.LINES_DELETED, _with(change, file_type=change.file_type)] = change.deleted
    return found


def _file_touched(touched: model.FileTouched) -> Contributions:
    return {(catalog.FILES_MODIFIED if touched.how == "modified" else catalog.FILES_READ, _with(touched)): 1}


def _subagent_turn(turn: model.SubagentTurn) -> Contributions:
    if turn.outcome is None or turn.agent_type is None:
        return {}
    found: Contributions = {(catalog.SUBAGENTS, _with(turn, agent_type=turn.agent_type, outcome=turn.outcome)): 1}
    if turn.started_ns is not None and turn.ended_ns != model.INFERRED:
        found[catalog.SUBAGENT_DURATION, _with(turn, agent_type=turn.agent_type)] = max(
            0, turn.ended_ns - turn.started_ns
        )
    if turn.ended_ns == model.INFERRED and turn.outcome == "completed":
        found[catalog.TRANSCRIPT_ONLY, (("kind", "subagent"),)] = 1
    return found


def _compaction(compaction: model.Compaction) -> Contributions:
    times = max(compaction.seen_by_hooks or 0, compaction.in_transcript or 0)
    return {(catalog.COMPACTIONS, _with(compaction, trigger=compaction.trigger)): times}


def _task(task: model.Task) -> Contributions:
    if task.task_type is None:
        return {}
    found: Contributions = {}
    if task.introduced_by is not None:
        found[catalog.BUGS, tuple(sorted(dict(task.labels(), agent=task.introduced_by).items()))] = 1
    if task.created_ns is not None:
        found[catalog.TASKS_CREATED, _with(task, task_type=task.task_type)] = 1
    if task.completed_ns is None:
        return found
    found[catalog.TASKS_COMPLETED, _with(task, task_type=task.task_type)] = 1
    found[catalog.STORY_POINTS, _with(task)] = task.story_points or 1
    if task.task_type == "feature":
        found[catalog.FEATURES, _with(task)] = 1
    if task.duration_ns is not None:
        found[catalog.TASK_DURATION, _with(task, task_type=task.task_type)] = task.duration_ns
    return found


def _git_commit(commit: model.GitCommit) -> Contributions:
    return {(catalog.COMMITS, _with(commit)): 1} if commit.is_new else {}


def _git_branch(branch: model.GitBranch) -> Contributions:
    return {(catalog.BRANCHES, _with(branch)): 1}


def _pull_request(request: model.PullRequest) -> Contributions:
    return {(catalog.PULL_REQUESTS, _with(request, action=request.action)): 1}


def _pull_request_review(review: model.PullRequestReview) -> Contributions:
    return {} if review.duration_ns is None else {(catalog.REVIEW_DURATION, _with(review)): review.duration_ns}


def _regression(regression: model.Regression) -> Contributions:
    return {(catalog.BUGS, _with(regression)): regression.bugs or 0}


def _pattern_extracted(pattern: model.PatternExtracted) -> Contributions:
    return {(catalog.PATTERNS_EXTRACTED, _with(pattern)): 1}


def _suite_run(run: model.SuiteRun) -> Contributions:
    found: Contributions = {(catalog.TEST_RUNS, _with(run, framework=run.framework, outcome=run.outcome)): 1}
    for outcome, count in (
        ("passed", run.passed),
        ("failed", run.failed),
        ("skipped", run.skipped),
        ("error", run.errors),
    ):
        if count:
            found[catalog.TESTS, _with(run, framework=run.framework, outcome=outcome)] = count
    return found


def _pattern_load(load: model.PatternLoad) -> Contributions:
    return {(catalog.PATTERN_LOADS, _with(load, pattern=load.pattern)): 1}


def _model_switch(switch: model.ModelSwitch) -> Contributions:
    return {(catalog.MODEL_SWITCHES, _with(switch)): 1}


def _permission_wait(wait: model.PermissionWait) -> Contributions:
    if wait.decision is None or wait.waited_ns is None:
        return {}
    return {
        (catalog.PERMISSION_REQUESTS, _with(wait, tool=wait.tool, decision=wait.decision)): 1,
        (catalog.PERMISSION_WAIT, _with(wait)): wait.waited_ns,
    }


def _measurement(measurement: model.Measurement) -> Contributions:
    metric = metric_of(measurement.name, measurement.kind or "", measurement.unit or "")
    if metric.kind is Kind.GAUGE or measurement.value is None:
        return {}  # the newest value stands: facts.from_sdk keeps it
    return {(metric, _with(measurement, **json.loads(measurement.label_text or "{}"))): measurement.value}


_PROJECTIONS: dict[type[model.Fact], Callable[[Any], Contributions]] = {
    model.SessionRun: _session_run,
    model.Turn: _turn,
    model.ApiRequest: _api_request,
    model.AuxiliaryUsage: _auxiliary_usage,
    model.ToolCall: _tool_call,
    model.FileChange: _file_change,
    model.FileTouched: _file_touched,
    model.SubagentTurn: _subagent_turn,
    model.Compaction: _compaction,
    model.Task: _task,
    model.GitCommit: _git_commit,
    model.GitBranch: _git_branch,
    model.PullRequest: _pull_request,
    model.PullRequestReview: _pull_request_review,
    model.Regression: _regression,
    model.PatternExtracted: _pattern_extracted,
    model.SuiteRun: _suite_run,
    model.PatternLoad: _pattern_load,
    model.ModelSwitch: _model_switch,
    model.PermissionWait: _permission_wait,
    model.Measurement: _measurement,
}


def contributions(fact: model.Fact | None) -> Contributions:
    """What this fact adds to the series, in stored units; nothing for None and for kinds that feed no series."""
    project = _PROJECTIONS.get(type(fact)) if fact is not None else None
    return project(fact) if project else {}


class Account(Protocol):
    """What changes move: the series of a store, or the instruments of a host program."""

    def add(self, metric: Metric, labels: Labels, amount: int, at_ns: int | None = None) -> None:
        """Add as ``SeriesTotals.add`` does."""


def apply_change(account: Account, old: model.Fact | None, new: model.Fact) -> None:
    """Move the series by what the change of a fact adds. A series never goes back, whatever a fact turns into."""
    before = contributions(old)
    for (metric, labels), amount in contributions(new).items():
        if metric.kind is Kind.HISTOGRAM:
            if (metric, labels) not in before:
                account.add(metric, labels, amount, new.happened_ns)
        elif (gain := amount - before.get((metric, labels), 0)) > 0:
            account.add(metric, labels, gain, new.happened_ns)
