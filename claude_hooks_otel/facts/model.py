"""The kinds of fact, their natural keys, and how two sightings of one fact become one.

Merging is a join: field by field, independent of order, and repeating it changes nothing. That is what makes late, duplicated and
reordered events harmless. Every time is Unix nanoseconds; every cost is picodollars (``series.metric.DOLLAR``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

# Stands for a time in the key of a fact whose event nobody saw.
INFERRED = 0


def key() -> Any:
    """Part of the natural key."""
    return field(metadata={"merge": "key"})


def once(default: Any = None) -> Any:
    """The first sighting that knows it settles it: both witnesses say the same."""
    return field(default=default, metadata={"merge": "once"})


def greatest(default: Any = None) -> Any:
    """Grows while the fact is still coming in (a streamed answer's tokens, the last time of sight)."""
    return field(default=default, metadata={"merge": "greatest"})


def least(default: Any = None) -> Any:
    """The earliest sighting counts (a start time)."""
    return field(default=default, metadata={"merge": "least"})


def latest(default: Any = None) -> Any:
    """The newest value replaces the older one (where a file is now); never part of a series."""
    return field(default=default, metadata={"merge": "latest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What every fact carries: whose it is. See ``identity.Identity``."""

    agent: str | None = once()
    project: str | None = once()
    team: str | None = once()
    sprint: str | None = once()

    def merged(self, newer: Self) -> Self:
        """This fact with what another sighting of it adds."""
        changes = {}
        for name, how in SHAPES[type(self)].merges:
            mine, theirs = getattr(self, name), getattr(newer, name)
            if theirs is None or theirs == mine:
                continue
            if (
                mine is None
                or how == "latest"
                or (how == "greatest" and theirs > mine)
                or (how == "least" and theirs < mine)
            ):
                changes[name] = theirs
        return replace(self, **changes) if changes else self

    def labels(self) -> tuple[tuple[str, str], ...]:
        """The common labels as sorted pairs."""
        pairs = (("agent", self.agent), ("project", self.project), ("sprint", self.sprint), ("team", self.team))
        return tuple((name, value) for name, value in pairs if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Fact):
    """A conversation of one session id, over all its processes."""

    session_id: str = key()
    first_seen_ns: int | None = least()
    last_seen_ns: int | None = greatest()
    client_version: str | None = latest()
    entrypoint: str | None = latest()
    terminal: str | None = latest()
    process: int | None = latest()
    transcript_path: str | None = latest()
    task_type: str | None = latest()
    task_complexity: str | None = latest()
    forked_from: str | None = latest()
    context_tokens: int | None = latest()
    context_window: int | None = latest()
    model: str | None = latest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRun(Fact):
    """One stretch of a session: from a start (or resume, fork, clear) to its end. Paired by ``facts.settle``.

    ``started_ns`` is the time of the SessionStart event; INFERRED for the one start that no hook saw.
    """

    session_id: str = key()
    started_ns: int = key()
    source: str | None = once()
    ended_ns: int | None = once()
    end_reason: str | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Fact):
    """A prompt and all that it set off in the main conversation.

    ``failure`` says why it has no answer: the client's name of an API error, ``interrupted`` (by a human), ``killed`` or ``ended``
    (the client was gone before it answered). ``interrupted_ns`` is the transcript's mark of it. ``active_ns`` is the turn's length
    without the waits for permissions. How it ended is told by ``facts.turns``. ``repository`` and ``branch`` are git's, where the
    session was when it was prompted; ``traceparent`` is the W3C trace context that its client was started in.
    """

    prompt_id: str = key()
    session_id: str | None = once()
    prompts_seen_by_hooks: int | None = greatest()
    prompts_in_transcript: int | None = greatest()
    started_ns: int | None = least()
    interrupted_ns: int | None = least()
    ended_ns: int | None = once()
    failure: str | None = once()
    active_ns: int | None = once()
    repository: str | None = once()
    branch: str | None = once()
    traceparent: str | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(Fact):
    """One answer of the Messages API, as the transcript's assistant lines tell it; or, with ``error``, its refusal to answer.

    A failed request has no message: its request's id stands for it, or its line's. Its line names no model either: ``facts.settle``
    takes that of the session.
    """

    message_id: str = key()
    request_id: str | None = once()
    session_id: str | None = once()
    agent_id: str | None = once()
    agent_type: str | None = once()
    model: str | None = once()
    answering_model: str | None = once()
    at_ns: int | None = least()
    input_tokens: int | None = greatest()
    output_tokens: int | None = greatest()
    cache_read_tokens: int | None = greatest()
    cache_write_5m_tokens: int | None = greatest()
    cache_write_1h_tokens: int | None = greatest()
    web_searches: int | None = greatest()
    cost: int | None = greatest()
    prompt_id: str | None = once()
    stop_reason: str | None = once()
    error: str | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuxiliaryUsage(Fact):
    """What the client's own account (``cost-state``) has and no transcript shows: titles, compaction, web search, cut streams."""

    session_id: str = key()
    model: str = key()
    input_tokens: int | None = greatest()
    output_tokens: int | None = greatest()
    cache_read_tokens: int | None = greatest()
    cache_write_5m_tokens: int | None = greatest()
    cache_write_1h_tokens: int | None = greatest()
    web_searches: int | None = greatest()
    cost: int | None = greatest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CostState(Fact):
    """One model's share of a ``cost-state`` record: the client's account of a session, cumulative, at a process's end.

    ``account_started_ns`` is the record's ``startTime``: it stays over resumes and is inherited by a fork that goes on counting.
    ``duration_ns`` grows with every process, and so tells two records of one account apart. ``written_after_ns`` is the last
    time that stands before the record in its file; it has none of its own.
    """

    session_id: str = key()
    account_started_ns: int = key()
    duration_ns: int = key()
    model: str = key()
    written_after_ns: int | None = least()
    input_tokens: int | None = greatest()
    output_tokens: int | None = greatest()
    cache_read_tokens: int | None = greatest()
    cache_write_tokens: int | None = greatest()
    cache_write_1h_tokens: int | None = greatest()
    web_searches: int | None = greatest()
    cost: int | None = greatest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Fact):
    """One use of a tool, by whoever asked for it."""

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
    """One finished turn of a sub-agent. Paired by ``facts.settle``.

    ``ended_ns`` is the time of the event that ended it; INFERRED for the one turn that only the transcript shows.
    """

    agent_id: str = key()
    ended_ns: int = key()
    session_id: str | None = once()
    agent_type: str | None = once()
    outcome: str | None = once()
    started_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction(Fact):
    """Compactions of a session by trigger, counted by each witness; neither gives them a name the other knows."""

    session_id: str = key()
    trigger: str = key()
    seen_by_hooks: int | None = greatest()
    in_transcript: int | None = greatest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactBoundary(Fact):
    """The mark a compaction leaves in the transcript."""

    uuid: str = key()
    session_id: str | None = once()
    trigger: str | None = once()
    at_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Fact):
    """An entry of a session's task list; how long it took is told by ``facts.settle``, when all its changes are in."""

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

    repository: str = key()
    name_digest: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest(Fact):
    """Something that was done to a pull request, by the digest of its address (or the call that did it, where none was shown)."""

    address_digest: str = key()
    action: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequestReview(Fact):
    """A pull request from its opening to its merge, across sessions; it belongs to whoever opened it.

    ``duration_ns`` is told by ``facts.settle``, when both ends are in.
    """

    address_digest: str = key()
    opened_ns: int | None = least()
    merged_ns: int | None = least()
    duration_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression(Fact):
    """What a session left worse than it found it, by test framework: told by ``facts.settle`` once the session is over.

    ``bugs``: tests that fail in its last run beyond those that failed in its first.
    """

    session_id: str = key()
    framework: str = key()
    bugs: int | None = greatest()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternExtracted(Fact):
    """Reusable guidance that a session wrote down: a new skill, command, sub-agent, rule or memory file."""

    tool_use_id: str = key()
    session_id: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun(Fact):
    """One run of a test suite in a Bash call."""

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

    load_id: str = key()
    session_id: str | None = once()
    pattern: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwitch(Fact):
    """Another model was chosen in a running session."""

    switch_id: str = key()
    session_id: str | None = once()
    from_model: str | None = once()
    to_model: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionWait(Fact):
    """A question to the human, and how it was answered. Paired with its call by ``facts.settle``: it names none."""

    session_id: str = key()
    asked_ns: int = key()
    tool: str | None = once()
    tool_use_id: str | None = once()
    decision: str | None = once()
    waited_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Fact):
    """One value that a program recorded through the SDK, or that a record of it stands for.

    ``name`` is the metric's OTLP name, ``value`` in its stored units (a gauge's in those of ``series.declared``), ``label_text`` the
    labels beside the identity as canonical JSON.
    """

    measurement_id: str = key()
    name: str = once()
    kind: str | None = once()
    unit: str | None = once()
    value: int | None = once()
    label_text: str | None = once()
    at_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSpan(Fact):
    """A task or span of a program, once it is over; ``parent_id`` is the one it was inside of, ``root_id`` the outermost."""

    span_id: str = key()
    parent_id: str | None = once()
    root_id: str | None = once()
    name: str | None = once()
    started_ns: int | None = least()
    ended_ns: int | None = once()
    outcome: str | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(Fact):
    """The texts that a witness saw at one time: a prompt, or of a tool call the input and what is in it, the output, or all of them.

    ``owner_id`` is the prompt's id or the call's ``tool_use_id``; the witnesses are named in ``facts.content``. ``at_ns`` is part of
    the key because several prompts can share an id: the first one counts, whichever arrives first.

    ``texts`` is JSON: kind of text → ``length`` in characters and ``sha256`` of the UTF-8 in hexadecimal digits, both of the whole
    text (of a short one, the digest can be guessed), and ``text``, redacted and cut, only where its owner wanted it.
    """

    owner_id: str = key()
    witness: str = key()
    at_ns: int = key()
    texts: str | None = once()


KINDS: tuple[type[Fact], ...] = (
    Session, SessionRun, Turn, ApiRequest, AuxiliaryUsage, CostState, ToolCall, FileChange, FileTouched, Subagent, SubagentWake, SubagentTurn,
    Compaction, CompactBoundary, Task, GitCommit, GitBranch, PullRequest, PullRequestReview, Regression, PatternExtracted, SuiteRun,
    PatternLoad, ModelSwitch, PermissionWait, Measurement, SdkSpan, Content,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What is needed of a kind again and again: its fields, and how each merges.

    Attributes:
        keys: the fields of the natural key.
        merges: (field, how it merges) of every other field.
        names: all fields, the key first.
    """

    keys: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, kind: type[Fact]) -> Shape:
        """Reads it off the dataclass."""
        how = [(field.name, field.metadata["merge"]) for field in fields(kind)]
        keys = tuple(name for name, merge in how if merge == "key")
        merges = tuple((name, merge) for name, merge in how if merge != "key")
        return cls(keys, merges, (*keys, *(name for name, _ in merges)))


SHAPES: dict[type[Fact], Shape] = {kind: Shape.of(kind) for kind in KINDS}
