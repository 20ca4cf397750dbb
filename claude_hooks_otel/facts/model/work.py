"""What agents do: tool calls, files, sub-agents, tasks, git, pull requests, tests."""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.facts.model.fact import Fact, greatest, key, latest, least, once


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Fact):
    """One use of a tool, by whoever asked for it."""

    TIMES = ("ended_ns", "started_ns")

    tool_use_id: str = key()
    session_id: str | None = once()
    agent_id: str | None = once()
    agent_type: str | None = once()
    prompt_id: str | None = once()
    tool: str | None = once()
    outcome: str | None = once()
    started_ns: int | None = least()
    ended_ns: int | None = least()
    duration_ns: int | None = once()
    seen_by_hooks: int | None = greatest()
    transcript_only: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange(Fact):
    """What one tool call did to one file."""

    tool_use_id: str = key()
    path_digest: str = key()
    file_type: str | None = once()
    added: int | None = once()
    deleted: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTouched(Fact):
    """A file that a session read or modified, whatever how often: ``how`` is read or modified."""

    TIMES = ("at_ns",)

    session_id: str = key()
    path_digest: str = key()
    how: str = key()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subagent(Fact):
    """A sub-agent, over all its turns."""

    agent_id: str = key()
    session_id: str | None = once()
    agent_type: str | None = once()
    tool_use_id: str | None = once()
    parent_agent_id: str | None = once()
    in_transcript: int | None = greatest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubagentWake(Fact):
    """A call that had a sub-agent go on, which had finished before."""

    tool_use_id: str = key()
    agent_id: str | None = once()
    session_id: str | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubagentTurn(Fact):
    """One finished turn of a sub-agent. Paired by ``facts.pairing``.

    ``ended_ns`` is the time of the event that ended it; INFERRED for the one turn that only the transcript shows.
    """

    TIMES = ("ended_ns", "started_ns")

    agent_id: str = key()
    ended_ns: int = key()
    session_id: str | None = once()
    agent_type: str | None = once()
    outcome: str | None = once()
    started_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Fact):
    """An entry of a session's task list; how long it took is set by ``facts.pairing``, when all its changes are in."""

    TIMES = ("completed_ns", "created_ns", "started_ns")

    session_id: str = key()
    task_id: str = key()
    task_type: str | None = once()
    story_points: int | None = once()
    complexity: int | None = once()
    introduced_by: str | None = once()
    owner: str | None = latest()
    created_ns: int | None = least()
    started_ns: int | None = least()
    completed_ns: int | None = least()
    duration_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitCommit(Fact):
    """A commit that a session made, amended ones and such included; ``is_new`` is 1 where there is one commit more than before.

    ``sha`` may be abbreviated, if only the client's output told of it.
    """

    TIMES = ("at_ns",)

    repository: str = key()
    sha: str = key()
    action: str | None = once()
    is_new: int | None = once()
    tool_use_id: str | None = once()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitBranch(Fact):
    """A branch that a session made, by the digest of its name."""

    TIMES = ("at_ns",)

    repository: str = key()
    name_digest: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest(Fact):
    """Something that was done to a pull request, by the digest of its address (or the call that did it, where none was shown)."""

    TIMES = ("at_ns",)

    address_digest: str = key()
    action: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestReview(Fact):
    """A pull request from its opening to its merge, across sessions; it belongs to whoever opened it.

    ``duration_ns`` is set by ``facts.pairing``, when both ends are in.
    """

    TIMES = ("merged_ns", "opened_ns")

    address_digest: str = key()
    opened_ns: int | None = least()
    merged_ns: int | None = least()
    duration_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression(Fact):
    """What a session left worse than it found it, by test framework: set by ``facts.pairing`` once the session is over.

    ``bugs``: tests that fail in its last run beyond those that failed in its first.
    """

    TIMES = ("at_ns",)

    session_id: str = key()
    framework: str = key()
    bugs: int | None = greatest()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternExtracted(Fact):
    """Reusable guidance that a session wrote down: a new skill, command, sub-agent, rule or memory file."""

    TIMES = ("at_ns",)

    tool_use_id: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun(Fact):
    """One run of a test suite in a Bash call."""

    TIMES = ("at_ns",)

    tool_use_id: str = key()
    ordinal: int = key()
    framework: str | None = once()
    outcome: str | None = once()
    passed: int | None = once()
    failed: int | None = once()
    skipped: int | None = once()
    errors: int | None = once()
    coverage_basis_points: int | None = once()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternLoad(Fact):
    """A skill that was used, or an instruction file that was loaded, by name."""

    TIMES = ("at_ns",)

    load_id: str = key()
    session_id: str | None = once()
    pattern: str | None = once()
    at_ns: int | None = least()
