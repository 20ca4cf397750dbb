"""Facts about the work of agents: tool calls, files, sub-agents, tasks, git, pull requests, tests."""

from __future__ import annotations

from claude_hooks_otel.facts.model.fact import Fact, fact, greatest, key, latest, least, once


@fact
class ToolCall(Fact):
    """One tool call, of the main conversation or of a sub-agent."""

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


@fact
class FileChange(Fact):
    """What one tool call did to one file."""

    TIMES = ("at_ns",)

    tool_use_id: str = key()
    path_digest: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()
    file_type: str | None = once()
    added: int | None = once()
    deleted: int | None = once()


@fact
class FileTouched(Fact):
    """A file that a session read or modified, once or many times. ``how`` is ``read`` or ``modified``."""

    TIMES = ("at_ns",)

    session_id: str = key()
    path_digest: str = key()
    how: str = key()
    at_ns: int | None = least()


@fact
class Subagent(Fact):
    """A sub-agent, over all its turns."""

    agent_id: str = key()
    session_id: str | None = once()
    agent_type: str | None = once()
    tool_use_id: str | None = once()
    parent_agent_id: str | None = once()
    in_transcript: int | None = greatest()


@fact
class SubagentWake(Fact):
    """A tool call that made a finished sub-agent continue."""

    tool_use_id: str = key()
    agent_id: str | None = once()
    session_id: str | None = once()


@fact
class SubagentTurn(Fact):
    """One finished turn of a sub-agent. ``facts.pairing`` pairs start and end.

    ``ended_ns`` is the time of the event that ended it. It is INFERRED if there is no such event.
    """

    TIMES = ("ended_ns", "started_ns")

    agent_id: str = key()
    ended_ns: int = key()
    session_id: str | None = once()
    agent_type: str | None = once()
    outcome: str | None = once()
    started_ns: int | None = once()


@fact
class Task(Fact):
    """An entry of a session's task list. ``facts.pairing`` sets ``duration_ns`` when all changes have arrived."""

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


@fact
class GitCommit(Fact):
    """A commit that a session made. ``is_new`` is 1 if it adds a commit, and 0 if it replaces one, as an amended commit does.

    ``sha`` is abbreviated if only the output of the command shows it.
    """

    TIMES = ("at_ns",)

    repository: str = key()
    sha: str = key()
    action: str | None = once()
    is_new: int | None = once()
    tool_use_id: str | None = once()
    session_id: str | None = once()
    at_ns: int | None = least()


@fact
class GitBranch(Fact):
    """A branch that a session made. The key has the digest of its name."""

    TIMES = ("at_ns",)

    repository: str = key()
    name_digest: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@fact
class PullRequest(Fact):
    """An action on a pull request. The key has the digest of its address, or the id of the tool call if no output shows the address."""

    TIMES = ("at_ns",)

    address_digest: str = key()
    action: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@fact
class PullRequestReview(Fact):
    """A pull request from its opening to its merge, across sessions. It counts for the agent that opened it.

    ``facts.pairing`` sets ``duration_ns`` when both times are known.
    """

    TIMES = ("merged_ns", "opened_ns")

    address_digest: str = key()
    opened_ns: int | None = least()
    merged_ns: int | None = least()
    duration_ns: int | None = once()


@fact
class Regression(Fact):
    """How many more tests of a framework fail at the end of a session than at its start. ``facts.pairing`` computes it.

    ``bugs`` is the number of failing tests in the session's last run minus the number in its first.
    """

    TIMES = ("at_ns",)

    session_id: str = key()
    framework: str = key()
    bugs: int | None = greatest()
    at_ns: int | None = least()


@fact
class PatternExtracted(Fact):
    """New guidance that a session wrote: a skill, command, sub-agent, rule or memory file."""

    TIMES = ("at_ns",)

    tool_use_id: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@fact
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


@fact
class PatternLoad(Fact):
    """The use of a skill, or the load of an instruction file, by name."""

    TIMES = ("at_ns",)

    load_id: str = key()
    session_id: str | None = once()
    pattern: str | None = once()
    at_ns: int | None = least()
