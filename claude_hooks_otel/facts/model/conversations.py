"""Facts about conversations: sessions, turns, requests, permissions, compactions."""

from __future__ import annotations

from claude_hooks_otel.facts.model.fact import Fact, fact, greatest, key, latest, least, once

# The ``end_reason`` of a run that no SessionEnd event ended.
KILLED = "killed"


@fact
class Session(Fact):
    """A session. Several processes can continue it one after another.

    Attributes:
        registration: which hook events were registered (``sources.registration.Registration``); None if no hook captured the session.
    """

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
    registration: str | None = latest()


@fact
class SessionRun(Fact):
    """One run of a session, from a start, resume, fork or clear to its end. ``facts.pairing`` pairs the two.

    ``started_ns`` is the time of the SessionStart event. It is INFERRED if no hook saw the start.
    """

    TIMES = ("ended_ns", "started_ns")

    session_id: str = key()
    started_ns: int = key()
    source: str | None = once()
    ended_ns: int | None = once()
    end_reason: str | None = once()


@fact
class Turn(Fact):
    """A prompt and everything that follows from it in the main conversation. ``facts.turns`` finds out how it ended.

    Attributes:
        interrupted_ns: the time of the transcript's interrupt mark.
        failure: why the turn has no answer: the client's name of an API error, ``interrupted`` (by a human), or ``killed`` or
            ``ended`` (the client was gone before it answered).
        active_ns: the turn's length without the waits for permissions.
        repository: the name of the git repository in which the prompt was written.
        branch: its branch.
        traceparent: the W3C trace context in which the client was started.
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


@fact
class PromptLine(Fact):
    """The line of a prompt in a transcript. A fork repeats the lines of its parent with their times, under its own first prompt."""

    TIMES = ("at_ns",)

    session_id: str = key()
    prompt_id: str = key()
    at_ns: int = key()


@fact
class ApiRequest(Fact):
    """One answer of the Messages API, from the assistant lines of a transcript. With ``error``, a request that failed.

    Gateways repeat message ids, so a request has a second key. A copy of a line, for example in a fork, keeps both keys.

    A failed request has no message. ``message_id`` is then made of the request's id, or of the line's. Its line has no model, so
    ``facts.pairing`` takes the model that answered before.

    Attributes:
        answer_id: the request's id, or without one the ``uuid`` of the first line of the answer.
    """

    TIMES = ("at_ns",)

    message_id: str = key()
    answer_id: str = key()
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


@fact
class AuxiliaryUsage(Fact):
    """Usage that no request of a transcript contains.

    Attributes:
        part: a part of an answer that another model wrote, such as an advisor: the keys of the request, and the part's place. Empty for
            the rest of the client's own account (``cost-state``): titles, compaction, web search, cut streams.
    """

    TIMES = ("at_ns",)

    session_id: str = key()
    model: str = key()
    part: str = key()
    at_ns: int | None = least()
    input_tokens: int | None = greatest()
    output_tokens: int | None = greatest()
    cache_read_tokens: int | None = greatest()
    cache_write_5m_tokens: int | None = greatest()
    cache_write_1h_tokens: int | None = greatest()
    web_searches: int | None = greatest()
    cost: int | None = greatest()


@fact
class CostState(Fact):
    """One model's share of a ``cost-state`` line. The client writes its cumulative account of a session when a process ends.

    Attributes:
        account_started_ns: the line's ``startTime``. A resumed session keeps it, and so does a fork that continues the account.
        duration_ns: the line's ``totalDuration``. It grows with every process, so it distinguishes two lines of one account.
        written_after_ns: the last time in the file before this line. The line itself has none.
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


@fact
class Compaction(Fact):
    """How many compactions of one trigger a session had. Each source counts its own, because the two share no id."""

    session_id: str = key()
    trigger: str = key()
    seen_by_hooks: int | None = greatest()
    in_transcript: int | None = greatest()


@fact
class CompactBoundary(Fact):
    """The mark of a compaction in the transcript."""

    TIMES = ("at_ns",)

    uuid: str = key()
    session_id: str | None = once()
    trigger: str | None = once()
    at_ns: int | None = once()


@fact
class ModelSwitch(Fact):
    """A change to another model in a running session."""

    TIMES = ("at_ns",)

    switch_id: str = key()
    session_id: str | None = once()
    from_model: str | None = once()
    to_model: str | None = once()
    at_ns: int | None = least()


@fact
class PermissionWait(Fact):
    """A permission request and its answer. The request has no ``tool_use_id``, so ``facts.pairing`` finds its call."""

    TIMES = ("asked_ns",)

    session_id: str = key()
    asked_ns: int = key()
    tool: str | None = once()
    tool_use_id: str | None = once()
    decision: str | None = once()
    waited_ns: int | None = once()


@fact
class Content(Fact):
    """The texts that one source has of a prompt or a tool call.

    Attributes:
        owner_id: the prompt's id, or the call's ``tool_use_id``.
        source: a source in ``facts.content``.
        at_ns: the text's time. It is part of the key because several prompts can share an id. The earliest one counts.
        texts: JSON that maps each kind of text to ``length`` (characters) and ``sha256`` (hexadecimal, of the UTF-8) of the whole
            text. The digest of a short text can be guessed. ``text``, redacted and cut, is there only if the owner turned it on.
    """

    TIMES = ("at_ns",)

    owner_id: str = key()
    source: str = key()
    at_ns: int = key()
    texts: str | None = once()
