"""What happens in a conversation: sessions, turns, requests, permissions, compactions."""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.facts.model.fact import Fact, greatest, key, latest, least, once

# The ``end_reason`` of a run that no SessionEnd event ended.
KILLED = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Fact):
    """A conversation of one session id, over all its processes."""

    TIMES = ("last_seen_ns", "first_seen_ns")

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
    model: str | None = latest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRun(Fact):
    """One stretch of a session: from a start (or resume, fork, clear) to its end. Paired by ``facts.pairing``.

    ``started_ns`` is the time of the SessionStart event; INFERRED for the one start that no hook saw.
    """

    TIMES = ("ended_ns", "started_ns")

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

    TIMES = ("ended_ns", "started_ns", "interrupted_ns")

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

    A failed request has no message: its request's id stands for it, or its line's. Its line names no model either: ``facts.pairing``
    takes that of the session.
    """

    TIMES = ("at_ns",)

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

    TIMES = ("written_after_ns",)

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
class Compaction(Fact):
    """Compactions of a session by trigger, counted by each source; neither gives them a name the other knows."""

    session_id: str = key()
    trigger: str = key()
    seen_by_hooks: int | None = greatest()
    in_transcript: int | None = greatest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactBoundary(Fact):
    """The mark a compaction leaves in the transcript."""

    TIMES = ("at_ns",)

    uuid: str = key()
    session_id: str | None = once()
    trigger: str | None = once()
    at_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwitch(Fact):
    """Another model was chosen in a running session."""

    TIMES = ("at_ns",)

    switch_id: str = key()
    session_id: str | None = once()
    from_model: str | None = once()
    to_model: str | None = once()
    at_ns: int | None = least()


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionWait(Fact):
    """A question to the human, and how it was answered. Paired with its call by ``facts.pairing``: it names none."""

    TIMES = ("asked_ns",)

    session_id: str = key()
    asked_ns: int = key()
    tool: str | None = once()
    tool_use_id: str | None = once()
    decision: str | None = once()
    waited_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(Fact):
    """The texts that a source saw at one time: a prompt, or of a tool call the input and what is in it, the output, or all of them.

    ``owner_id`` is the prompt's id or the call's ``tool_use_id``; the sources are named in ``facts.content``. ``at_ns`` is part of
    the key because several prompts can share an id: the first one counts, whichever arrives first.

    ``texts`` is JSON: kind of text → ``length`` in characters and ``sha256`` of the UTF-8 in hexadecimal digits, both of the whole
    text (of a short one, the digest can be guessed), and ``text``, redacted and cut, only where its owner wanted it.
    """

    TIMES = ("at_ns",)

    owner_id: str = key()
    source: str = key()
    at_ns: int = key()
    texts: str | None = once()
