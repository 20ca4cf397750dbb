"""Facts about what a finished tool call did. Hooks and transcripts report the same call in the same form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.facts.tasks import task_facts
from claude_hooks_otel.foreign_files import in_time
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.tool_effects import git_operations as git
from claude_hooks_otel.tool_effects import lines
from claude_hooks_otel.tool_effects.binary_files import is_binary_file
from claude_hooks_otel.tool_effects.git_commands import may_touch_git, named_commits, working_directories
from claude_hooks_otel.tool_effects.git_repository import find_repository
from claude_hooks_otel.tool_effects.guidance import extracts_pattern
from claude_hooks_otel.tool_effects.reflog import MAX_SECONDS, reflog_operations
from claude_hooks_otel.tool_effects.reviews import merged_pull_requests
from claude_hooks_otel.tool_effects.suite_runs import suite_runs
from claude_hooks_otel.units import SECOND

# The client puts a failed command's status before its output.
_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (\d+)")

# A commit with this variable has any date in the reflog.
_OWN_DATE = "GIT_COMMITTER_DATE"


def add_effects(facts: Facts, call: FinishedCall) -> None:
    """Add the facts about what the call did, inside the caller's transaction."""
    facts.upsert(*_facts(call))
    for operation in _git_operations(call):
        facts.upsert(*_git_facts(facts, call, operation))


def _facts(call: FinishedCall) -> Iterator[model.Fact]:
    if call.succeeded:
        yield from _files(call)
        yield from task_facts(call)
        yield from _subagents(call)
        if call.tool == "Skill" and isinstance(skill := call.arguments.get("skill"), str):
            yield model.PatternLoad(load_id=call.tool_use_id, pattern=normalize(skill), **call.common_fields)
        if extracts_pattern(call.tool, call.arguments, call.result):
            yield model.PatternExtracted(tool_use_id=call.tool_use_id, **call.common_fields)
    if call.tool == "Bash":
        yield from _suites(call)
        for pull_request in merged_pull_requests(_printed(call, "stdout") or ""):
            # It counts for the agent that opened it. Only the session that opened it knows which one that is.
            yield model.PullRequestReview(
                address_digest=pull_request.address_digest,
                opened_ns=pull_request.opened_ns,
                merged_ns=pull_request.merged_ns,
            )


def _subagents(call: FinishedCall) -> Iterator[model.Fact]:
    """Yield the sub-agent that a call started or continued. A skill can run in a sub-agent too."""
    result = call.result if isinstance(call.result, Mapping) else {}
    own = {"tool_use_id": call.tool_use_id, "session_id": call.session_id, **call.labels}
    if call.tool in ("Agent", "Skill") and isinstance(started := result.get("agentId"), str):
        yield model.Subagent(agent_id=started, **own)
    if call.tool == "SendMessage" and isinstance(woken := result.get("resumedAgentId"), str):
        yield model.SubagentWake(agent_id=woken, **own)


def _files(call: FinishedCall) -> Iterator[model.Fact]:
    changes = lines.file_changes(call.tool, call.arguments, call.result, cwd=call.directory)
    has_lines = bool(changes) and not _is_binary(call)
    for change in changes:
        yield model.FileChange(
            tool_use_id=call.tool_use_id,
            path_digest=change.path_digest,
            file_type=change.file_type,
            added=change.added if has_lines else 0,
            deleted=change.deleted if has_lines else 0,
            **call.common_fields,
        )
        yield model.FileTouched(path_digest=change.path_digest, how="modified", **call.common_fields)
    if digest := lines.file_read(call.tool, call.arguments, call.result, cwd=call.directory):
        yield model.FileTouched(path_digest=digest, how="read", **call.common_fields)


def _is_binary(call: FinishedCall) -> bool:
    """Return whether the file that the call wrote is binary to git. Its path is not known for a Bash call."""
    path = call.arguments.get("file_path")
    if not isinstance(path, str):
        return False
    file = Path(call.directory or "/", path)
    return in_time(str(file.parent), partial(is_binary_file, file), otherwise=False)


def _printed(call: FinishedCall, *streams: str) -> str | None:
    """Return what a command printed; None if no source kept it."""
    if isinstance(call.result, Mapping):
        return "\n".join(text for name in streams if isinstance(text := call.result.get(name), str))
    return call.result if isinstance(call.result, str) else None


def _suites(call: FinishedCall) -> Iterator[model.Fact]:
    command, output = call.arguments.get("command"), _printed(call, "stdout", "stderr")
    if not isinstance(command, str) or output is None:
        return
    status = _EXIT_CODE.match(output)
    exit_code = int(status[1]) if status else 0 if call.succeeded else None
    for ordinal, run in enumerate(suite_runs(command, output, exit_code)):
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
            **call.common_fields,
        )


def _git_operations(call: FinishedCall) -> list[git.GitOperation]:
    """Return what git recorded while the call ran, and what the output shows."""
    command = call.arguments.get("command")
    if call.tool != "Bash" or not isinstance(command, str):
        return []
    recorded: list[git.GitOperation] = []
    if call.began_ns is not None and call.directory and may_touch_git(command):
        for folder in working_directories(command, Path(call.directory)):
            recorded += in_time(str(folder), partial(_recorded, call, command, folder), [])
    # Git's own record comes first. The client calls a whole chain "amended" if one of its commands amends.
    return recorded + git.git_operations(call.tool, call.arguments, call.result)


def _recorded(call: FinishedCall, command: str, folder: Path) -> list[git.GitOperation]:
    """Return what the reflogs show for a call. Without its exact times, only a part of it is the call's own."""
    repository = find_repository(folder)
    if repository is None:
        return []
    printed = git.printed_hashes(call.result)
    began, ended = (call.began_ns or 0) / SECOND, call.ended_ns / SECOND

    def is_printed(operation: git.GitOperation) -> bool:
        return any(git.same_commit(operation.key, each) for each in printed)

    found = reflog_operations(repository, began, ended)
    if not call.is_timed:
        found = _own_commits(call, command, found, is_printed)
    if _OWN_DATE in command and printed:
        found += filter(is_printed, reflog_operations(repository, 0, MAX_SECONDS))
    return found


def _own_commits(
    call: FinishedCall, command: str, found: list[git.GitOperation], is_printed: Callable[[git.GitOperation], bool]
) -> list[git.GitOperation]:
    """Return the commits that a call printed. If no hook reports it, add the quiet ones that its command names.

    Before the call ran, a human may have made commits while the call waited for permission. So the last ones count.
    """
    own: list[git.GitOperation] = []
    others: list[git.GitOperation] = []
    for operation in found:
        (own if is_printed(operation) else others).append(operation)
    quiet = named_commits(command) - len(own) if call.is_only_source and call.succeeded else 0
    commits = [operation for operation in others if operation.kind == "commit"]
    return own + (commits[-quiet:] if quiet > 0 else [])


def _git_facts(facts: Facts, call: FinishedCall, operation: git.GitOperation) -> Iterator[model.Fact]:
    key = operation.key or call.tool_use_id
    project = str(call.labels.get("project"))
    if operation.kind == "commit":
        known = facts.select(
            model.GitCommit, "repository = ? AND sha LIKE ?", project, f"{key[: git.MIN_HASH_DIGITS]}%"
        )
        if not any(git.same_commit(commit.sha, key) for commit in known):
            yield model.GitCommit(
                repository=project,
                sha=key,
                action=operation.action,
                is_new=int(operation.is_new_commit),
                tool_use_id=call.tool_use_id,
                **call.common_fields,
            )
    elif operation.kind == "branch":
        yield model.GitBranch(repository=project, name_digest=key, **call.common_fields)
    else:
        yield model.PullRequest(address_digest=key, action=operation.action, **call.common_fields)
        if operation.key and operation.action == "created":
            yield model.PullRequestReview(address_digest=operation.key, opened_ns=call.ended_ns, **call.labels)
        elif operation.key and operation.action == "merged":
            yield model.PullRequestReview(address_digest=operation.key, merged_ns=call.ended_ns)
