"""What a finished tool call did: both sources hold the same input and the same result of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.facts.tasks import task_facts
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.tool_effects import git_operations as git
from claude_hooks_otel.tool_effects import lines, suite_runs
from claude_hooks_otel.tool_effects.git_commands import may_touch_git, working_directories
from claude_hooks_otel.tool_effects.git_repository import find_repository
from claude_hooks_otel.tool_effects.guidance import extracts_pattern
from claude_hooks_otel.tool_effects.reflog import reflog_operations
from claude_hooks_otel.tool_effects.reviews import merged_pull_requests
from claude_hooks_otel.units import SECOND

# The client puts a failed command's status before its output.
_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (\d+)")


@dataclass(frozen=True, slots=True)
class FinishedCall:
    """A call that ran to its end, as either source reports it.

    Attributes:
        tool_use_id: which call.
        session_id: whose.
        tool: the tool's name.
        arguments: its input.
        result: its response; a failed call's error text; the text of the result where a sub-agent's transcript has nothing else.
        succeeded: whether it did.
        ended_ns: when it ended.
        labels: the identity's labels.
        began_ns: when it began to run, where the source knows (hooks do): git's own records of that time are then asked too.
        directory: the directory it was left in.
        wishes: the owner's ``task_type`` and ``task_complexity``.
    """

    tool_use_id: str
    session_id: str
    tool: str
    arguments: Mapping[str, Any]
    result: Any
    succeeded: bool
    ended_ns: int
    labels: Mapping[str, Any]
    began_ns: int | None = None
    directory: str | None = None
    wishes: Mapping[str, str] = field(default_factory=dict)


def add_effects(facts: Facts, call: FinishedCall) -> None:
    """Add the facts of what the call did. The caller holds the transaction."""
    for fact in _facts(call):
        facts.upsert(fact)
    for operation in _git_operations(call):
        _add_git(facts, call, operation)


def _facts(call: FinishedCall) -> Iterator[model.Fact]:
    if call.succeeded:
        yield from _files(call)
        yield from task_facts(
            call.tool, call.arguments, call.result, call.session_id, call.ended_ns, call.labels, call.wishes
        )
        yield from _subagents(call)
        if call.tool == "Skill" and isinstance(call.arguments.get("skill"), str):
            yield model.PatternLoad(
                load_id=call.tool_use_id,
                session_id=call.session_id,
                pattern=normalize(call.arguments["skill"]),
                at_ns=call.ended_ns,
                **call.labels,
            )
        if extracts_pattern(call.tool, call.arguments, call.result):
            yield model.PatternExtracted(
                tool_use_id=call.tool_use_id, session_id=call.session_id, at_ns=call.ended_ns, **call.labels
            )
    if call.tool == "Bash":
        yield from _suites(call)
        yield from _reviews(call)


def _subagents(call: FinishedCall) -> Iterator[model.Fact]:
    """The sub-agent that a call started, itself or by a skill that runs in one, or had go on."""
    result = call.result if isinstance(call.result, Mapping) else {}
    if call.tool in ("Agent", "Skill") and isinstance(started := result.get("agentId"), str):
        yield model.Subagent(agent_id=started, session_id=call.session_id, tool_use_id=call.tool_use_id, **call.labels)
    if call.tool == "SendMessage" and isinstance(woken := result.get("resumedAgentId"), str):
        yield model.SubagentWake(
            tool_use_id=call.tool_use_id, agent_id=woken, session_id=call.session_id, **call.labels
        )


def _files(call: FinishedCall) -> Iterator[model.Fact]:
    for change in lines.file_changes(call.tool, call.arguments, call.result, cwd=call.directory):
        yield model.FileChange(
            tool_use_id=call.tool_use_id,
            path_digest=change.path_digest,
            file_type=change.file_type,
            added=change.added,
            deleted=change.deleted,
            **call.labels,
        )
        yield _touched(call, change.path_digest, "modified")
    if digest := lines.file_read(call.tool, call.arguments, call.result, cwd=call.directory):
        yield _touched(call, digest, "read")


def _touched(call: FinishedCall, digest: str, how: str) -> model.FileTouched:
    return model.FileTouched(
        session_id=call.session_id, path_digest=digest, how=how, at_ns=call.ended_ns, **call.labels
    )


def _reviews(call: FinishedCall) -> Iterator[model.Fact]:
    """What the host told of pull requests; whose they are, only the session knows that opened them."""
    for told in merged_pull_requests(_printed(call, "stdout") or ""):
        yield model.PullRequestReview(
            address_digest=told.address_digest, opened_ns=told.opened_ns, merged_ns=told.merged_ns
        )


def _printed(call: FinishedCall, *streams: str) -> str | None:
    """What a command printed; None where no source kept it."""
    if isinstance(call.result, Mapping):
        return "\n".join(text for name in streams if isinstance(text := call.result.get(name), str))
    return call.result if isinstance(call.result, str) else None


def _suites(call: FinishedCall) -> Iterator[model.Fact]:
    command, output = call.arguments.get("command"), _printed(call, "stdout", "stderr")
    if not isinstance(command, str) or output is None:
        return
    status = _EXIT_CODE.match(output)
    exit_code = int(status[1]) if status else 0 if call.succeeded else None
    for ordinal, run in enumerate(suite_runs.suite_runs(command, output, exit_code)):
        yield model.SuiteRun(
            tool_use_id=call.tool_use_id,
            ordinal=ordinal,
            framework=run.framework,
            outcome=run.outcome,
            passed=run.passed,
            failed=run.failed,
            skipped=run.skipped,
            errors=run.errors,
            coverage_basis_points=None if run.coverage_percent is None else round(run.coverage_percent * 100),
            session_id=call.session_id,
            at_ns=call.ended_ns,
            **call.labels,
        )


def _git_operations(call: FinishedCall) -> list[git.GitOperation]:
    """What the output shows, and what git itself recorded while the call ran."""
    command = call.arguments.get("command")
    if call.tool != "Bash" or not isinstance(command, str):
        return []
    recorded: list[git.GitOperation] = []
    if call.began_ns is not None and call.directory and may_touch_git(command):
        window = call.began_ns / SECOND, call.ended_ns / SECOND
        for folder in working_directories(command, Path(call.directory)):
            if (repository := find_repository(folder)) is not None:
                recorded += reflog_operations(repository, *window)
    # Git's own words come first: the client calls a whole chain "amended" if one command of it amends.
    return recorded + git.git_operations(call.tool, call.arguments, call.result)


def _add_git(facts: Facts, call: FinishedCall, operation: git.GitOperation) -> None:
    key = operation.key or call.tool_use_id
    project = str(call.labels.get("project"))
    if operation.kind == "commit":
        known = facts.select(
            model.GitCommit, "repository = ? AND sha LIKE ?", project, f"{key[: git.MIN_HASH_DIGITS]}%"
        )
        same = next((commit for commit in known if git.same_commit(commit.sha, key)), None)
        if same is None:
            facts.upsert(
                model.GitCommit(
                    repository=project,
                    sha=key,
                    action=operation.action,
                    is_new=int(operation.is_new_commit),
                    tool_use_id=call.tool_use_id,
                    session_id=call.session_id,
                    at_ns=call.ended_ns,
                    **call.labels,
                )
            )
    elif operation.kind == "branch" and operation.action == "created":
        facts.upsert(
            model.GitBranch(
                repository=project,
                name_digest=key,
                session_id=call.session_id,
                at_ns=call.ended_ns,
                **call.labels,
            )
        )
    elif operation.kind == "pull_request":
        facts.upsert(
            model.PullRequest(
                address_digest=key,
                action=operation.action,
                session_id=call.session_id,
                at_ns=call.ended_ns,
                **call.labels,
            )
        )
        if operation.key and operation.action == "created":
            facts.upsert(model.PullRequestReview(address_digest=operation.key, opened_ns=call.ended_ns, **call.labels))
        elif operation.key and operation.action == "merged":
            facts.upsert(model.PullRequestReview(address_digest=operation.key, merged_ns=call.ended_ns))
