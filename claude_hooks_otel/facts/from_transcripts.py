"""Facts from transcript lines: requests with their tokens, tool calls and their outcomes, prompts, compactions, the client's account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from claude_hooks_otel.facts import from_tools, model, pricing
from claude_hooks_otel.facts.call_results import outcome_of, output_of, text_of
from claude_hooks_otel.facts.content import TRANSCRIPT, TRANSCRIPT_RESULT, ContentKeeper
from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.from_hooks import MAIN
from claude_hooks_otel.facts.projects import repository_in_time
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.metrics.outcomes import ToolOutcome
from claude_hooks_otel.sources import transcript_lines as lines
from claude_hooks_otel.sources.call_ids import is_random
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.transcript_files import AgentMeta, TranscriptFile, read_agent_meta
from claude_hooks_otel.sources.transcripts import TranscriptLine
from claude_hooks_otel.units import DOLLAR, MILLISECOND, storable

# The type of a sub-agent whose type is unknown.
UNNAMED_AGENT = "subagent"

# (usage, (requested model, answering model), Unix nanoseconds, speed, inference geo) → picodollars; None without a known price.
Pricer = Callable[[pricing.TokenUsage, tuple[str, str | None], int, str | None, str | None], int | None]


class TranscriptReader:
    """Reads transcript lines into facts, inside the caller's transaction.

    Args:
        facts: gets the facts.
        price: returns the cost of a request.
        history_ns: returns the time from which lines of a session count, Unix nanoseconds. Older lines were written before capturing began.
        content: keeps prompts, inputs and outputs; None if no exporter wants them.
        expects_hooks: whether hooks report the same calls.
        branch_label: returns a branch as an ``Identity`` has it; None if hooks report it, or if no label shows it.
    """

    def __init__(
        self,
        facts: Facts,
        price: Pricer,
        history_ns: Callable[[str], int],
        content: ContentKeeper | None = None,
        *,
        expects_hooks: bool = True,
        branch_label: Callable[[str], str | None] | None = None,
    ) -> None:
        self._facts = facts
        self._branch_label = branch_label
        self._expects_hooks = expects_hooks
        self._content = content
        self._price = price
        self._history_ns = history_ns
        self._agent_id, self._agent_type = "", ""
        # For each session: from when its lines count, and what hooks said about it.
        self._history: dict[str, int] = {}
        self._sessions: dict[str, model.Session | None] = {}
        self._newest: dict[tuple[str | None, ...], model.Session] = {}
        self._last: lines.AssistantLine | None = None

    def begin(self, file: TranscriptFile) -> None:
        """Begin to read lines of a file. Call it again for each batch, in the batch's transaction."""
        self._agent_id, self._agent_type = file.agent_id, self._type_of_agent(file) or ""
        self._history.clear()
        self._sessions.clear()
        self._newest.clear()
        self._last = None

    def _type_of_agent(self, file: TranscriptFile) -> str | None:
        """Return the type of the agent that a transcript file belongs to; None for the main conversation.

        Also add what the metadata file next to the transcript says about the agent.
        """
        if not file.agent_id:
            return None
        known = self._facts.get(model.Subagent, file.agent_id)
        if known is not None and known.in_transcript and known.agent_type:
            return known.agent_type
        meta = read_agent_meta(file.path) or AgentMeta(None, None, None)
        identity = self._facts.identities.at(file.session_id, 0)
        self._facts.upsert(
            model.Subagent(
                agent_id=file.agent_id,
                session_id=file.session_id,
                agent_type=meta.agent_type,
                tool_use_id=meta.tool_use_id if meta.tool_use_id and is_random(meta.tool_use_id) else None,
                parent_agent_id=meta.parent_agent_id,
                in_transcript=1,
                **(identity.columns() if identity else {}),
            )
        )
        return meta.agent_type or (known.agent_type if known else None)

    def read(self, item: TranscriptLine) -> None:
        """Read one line of the file."""
        line = item.line
        if isinstance(line, lines.CostStateLine):
            self._facts.upsert(*self._cost_states(line, item.before_ns))
        if line.timestamp < self._counts_from(line.session_id):
            return
        match line:
            case lines.AssistantLine():
                self._answer(line, item)
            case lines.UserLine():
                self._results(line, item)
                if line.prompt_id and not self._agent_id and not self._is_repeated(line):
                    self._prompt(line, line.prompt_id)
            case lines.SystemLine(subtype="compact_boundary", uuid=str(uuid), session_id=session_id, timestamp=at_ns):
                trigger = line.compact_metadata.trigger if line.compact_metadata else "auto"
                labels = self._labels(line)
                self._facts.upsert(
                    model.CompactBoundary(uuid=uuid, session_id=session_id, trigger=trigger, at_ns=at_ns, **labels)
                )

    def _counts_from(self, session_id: str) -> int:
        if (since_ns := self._history.get(session_id)) is None:
            since_ns = self._history[session_id] = self._history_ns(session_id)
        return since_ns

    def _labels(self, line: lines.Line, session_id: str | None = None) -> dict[str, Any]:
        for candidate in (session_id, line.session_id):
            if candidate and (identity := self._facts.identities.at(candidate, line.timestamp)):
                return identity.columns()
        return Identity().columns()

    def finish(self) -> None:
        """Add what the lines since ``begin`` say about their sessions."""
        self._facts.upsert(*self._newest.values())
        self._newest.clear()

    def _note_session(self, session: model.Session) -> None:
        """Note what an answer says about its session. Only the newest answer of a session, or of the same origin, counts."""
        self._newest[session.session_id, session.forked_from, session.client_version, session.entrypoint] = session

    # -- answers -------------------------------------------------------------------------------------------------------

    def _answer(self, line: lines.AssistantLine, item: TranscriptLine) -> None:
        says_more = self._last is None or not _says_nothing_more(line, self._last)
        if not (says_more or item.call_ids or line.is_api_error_message):
            return
        # The session that paid. The file of a fork repeats its parent's lines under the fork's session id.
        session_id, agent_id = line.request_session_id or line.session_id, self._agent_id
        labels = self._labels(line, session_id)
        agent_type = (self._agent_type or line.attribution_agent or UNNAMED_AGENT) if agent_id else MAIN
        agent = {"session_id": session_id, "agent_id": agent_id or None, "agent_type": agent_type, **labels}
        for call_id, tool, tool_input in line.tool_uses if item.call_ids else ():
            if (identity := item.call_ids.get(call_id)) is None:
                continue
            self._facts.upsert(model.ToolCall(tool_use_id=identity, tool=tool, started_ns=line.timestamp, **agent))
            if self._content:
                self._content.tool_call(TRANSCRIPT, identity, line.timestamp, tool, tool_input)
        if line.is_api_error_message:
            self._failed_request(line, agent)
        message, usage = line.message, line.message.usage
        if (
            says_more
            and (message.id or item.answer_id)
            and message.model not in (None, lines.SYNTHETIC_MODEL)
            and usage is not None
        ):
            request = self._request(line, usage, item.answer_id, agent)
            self._facts.upsert(request, *self._side_rounds(usage, request))
            if not agent_id:
                self._note_session(_session(line, request, labels))
        self._last = line

    def _request(
        self, line: lines.AssistantLine, usage: lines.Usage, answer_id: str, agent: dict[str, Any]
    ) -> model.ApiRequest:
        message_id = line.message.id or ""
        if not line.request_id and self._facts.get(model.ApiRequest, message_id, ""):
            answer_id = ""  # an older version of this package has read this answer
        requested, billed = line.requested_model or line.message.model or "", _billed(usage, usage.web_searches)
        return model.ApiRequest(
            message_id=message_id,
            answer_id=answer_id,
            request_id=line.request_id,
            model=requested,
            answering_model=line.message.model,
            at_ns=line.timestamp,
            **_spent(billed),
            cost=self._cost(usage, billed, (requested, line.message.model), line.timestamp),
            stop_reason=line.message.stop_reason,
            **agent,
        )

    def _side_rounds(self, usage: lines.Usage, request: model.ApiRequest) -> Iterator[model.AuxiliaryUsage]:
        """Yield the usage of an advisor and of other side rounds of an answer, under their own model."""
        at_ns, identity = request.at_ns or 0, dict[str, Any](request.labels())
        for place, part in usage.side_rounds:
            name, spent = part.model or request.model or "", _billed(part, 0)
            yield model.AuxiliaryUsage(
                session_id=request.session_id or "",
                model=name,
                part=f"{request.message_id}/{request.answer_id}/{place}",
                at_ns=at_ns,
                **_spent(spent),
                cost=self._price(spent, (name, None), at_ns, usage.speed, usage.inference_geo),
                **identity,
            )

    def _failed_request(self, line: lines.AssistantLine, agent: dict[str, Any]) -> None:
        if name := line.request_id or line.uuid:
            self._facts.upsert(
                model.ApiRequest(
                    message_id=f"error.{name}",
                    answer_id=line.request_id or "",
                    request_id=line.request_id,
                    at_ns=line.timestamp,
                    error=line.error or "unknown",
                    **agent,
                )
            )

    def _cost(
        self, usage: lines.Usage, billed: pricing.TokenUsage, models: tuple[str, str | None], at_ns: int
    ) -> int | None:
        """Return picodollars; None without a known price. Each round has its own price, because a long prompt can cost more."""
        total, rounds = 0, usage.rounds
        for number, part in enumerate(rounds):
            if len(rounds) > 1:
                billed = _billed(part, usage.web_searches if number == 0 else 0)
            cost = self._price(billed, models, at_ns, usage.speed, usage.inference_geo)
            if cost is None:
                return None
            total += cost
        return storable(total)

    # -- tool results and prompts ----------------------------------------------------------------------------------------

    def _results(self, line: lines.UserLine, item: TranscriptLine) -> None:
        for call_id, block in line.tool_results if item.call_ids else ():
            if (tool_use_id := item.call_ids.get(call_id)) is None:
                continue
            outcome = outcome_of(line, block)
            labels = self._labels(line)
            self._facts.upsert(
                model.ToolCall(
                    tool_use_id=tool_use_id,
                    session_id=line.session_id,
                    prompt_id=None if self._is_repeated(line) else line.prompt_id,
                    outcome=outcome,
                    ended_ns=line.timestamp,
                    **labels,
                )
            )
            if self._content:
                self._content.tool_call(TRANSCRIPT_RESULT, tool_use_id, line.timestamp, result=output_of(line, block))
            call = self._facts.added(model.ToolCall, tool_use_id) if not self._expects_hooks else None
            if call is None or call.tool is None:
                call = self._facts.get(model.ToolCall, tool_use_id)
            if outcome in (None, ToolOutcome.SUCCESS, ToolOutcome.ERROR) and call and call.tool and call.session_id:
                self._finished(call, item.inputs.get(call_id), line, block, labels)

    def _finished(
        self, call: model.ToolCall, tool_input: Any, line: lines.UserLine, block: dict[str, Any], labels: dict[str, Any]
    ) -> None:
        session = self._known_session(line.session_id)
        is_light = session is not None and session.registration == Registration.LIGHT
        if is_light and call.started_ns is not None and call.outcome:
            # No hook reports its duration. The time since the model asked for it includes every wait.
            duration = max(0, line.timestamp - call.started_ns)
            self._facts.upsert(model.ToolCall(tool_use_id=call.tool_use_id, duration_ns=duration))
        defaults = {"task_type": session.task_type, "task_complexity": session.task_complexity} if session else {}
        finished = FinishedCall(
            tool_use_id=call.tool_use_id,
            session_id=call.session_id or line.session_id,
            tool=call.tool or "",
            arguments=tool_input if isinstance(tool_input, dict) else {},
            # A sub-agent's transcript has no response, only the text that the model saw.
            result=block.get("content") if line.tool_use_result is None else line.tool_use_result,
            succeeded=call.outcome == ToolOutcome.SUCCESS,
            ended_ns=line.timestamp,
            labels=labels,
            began_ns=call.started_ns,
            is_only_source=is_light or not self._expects_hooks,
            directory=line.cwd,
            task_defaults={name: value for name, value in defaults.items() if value},
        )
        from_tools.add_effects(self._facts, finished)

    def _known_session(self, session_id: str) -> model.Session | None:
        """Return what the batch found of the session when it first needed it."""
        if session_id not in self._sessions:
            self._sessions[session_id] = self._facts.get(model.Session, session_id)
        return self._sessions[session_id]

    def _is_repeated(self, line: lines.Line) -> bool:
        """Return whether a line of history is older than its session: a fork repeats the lines of its parent."""
        session = None if self._expects_hooks else self._known_session(line.session_id)
        return session is not None and line.timestamp < (session.first_seen_ns or 0)

    def _prompt(self, line: lines.UserLine, prompt_id: str) -> None:
        if line.is_interrupt:
            self._facts.upsert(
                model.Turn(prompt_id=prompt_id, session_id=line.session_id, interrupted_ns=line.timestamp)
            )
        elif line.is_human_prompt:
            self._note_branch(line)
            self._facts.upsert(
                model.PromptLine(prompt_id=prompt_id, at_ns=line.timestamp, session_id=line.session_id),
                model.Turn(
                    prompt_id=prompt_id,
                    session_id=line.session_id,
                    prompts_in_transcript=1,
                    # Hooks report when a turn began. Without them, it is the only time that its prompt has.
                    started_ns=None if self._expects_hooks else line.timestamp,
                    repository=repository_in_time(line.cwd) if line.cwd else None,
                    branch=line.git_branch,
                    **self._labels(line),
                ),
            )
            if self._content:
                self._content.prompt(TRANSCRIPT, prompt_id, line.timestamp, text_of(line.message.content))

    def _note_branch(self, line: lines.UserLine) -> None:
        """Note the branch on which a turn begins."""
        if self._branch_label is None or not line.git_branch:
            return
        branch, identities = self._branch_label(line.git_branch), self._facts.identities
        if (known := identities.at(line.session_id, line.timestamp)) and known.branch_label != branch:
            identities.note(line.session_id, line.timestamp, replace(known, branch_label=branch))

    # -- the client's account --------------------------------------------------------------------------------------------

    def _cost_states(self, line: lines.CostStateLine, before_ns: int) -> Iterator[model.CostState]:
        for name, usage in line.model_usage.items():
            yield model.CostState(
                session_id=line.session_id,
                account_started_ns=round(line.start_time * MILLISECOND),
                duration_ns=round(line.total_duration * MILLISECOND),
                model=name,
                written_after_ns=before_ns,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_input_tokens,
                cache_write_tokens=usage.cache_creation_input_tokens,
                cache_write_1h_tokens=usage.cache_creation_ephemeral_1h_input_tokens,
                web_searches=usage.web_search_requests,
                cost=None if usage.cost is None else storable(round(usage.cost * DOLLAR)),
                **self._labels(line),
            )


def _billed(tokens: lines.Tokens, web_searches: int) -> pricing.TokenUsage:
    return pricing.TokenUsage(
        input=tokens.input_tokens or 0,
        output=tokens.output_tokens or 0,
        cache_read=tokens.cache_read_input_tokens or 0,
        cache_write_5m=tokens.cache_write_5m,
        cache_write_1h=tokens.cache_write_1h,
        web_searches=web_searches,
    )


def _spent(usage: pricing.TokenUsage) -> dict[str, Any]:
    """Return a usage as fields of a fact."""
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "web_searches": usage.web_searches,
    }


def _says_nothing_more(line: lines.AssistantLine, last: lines.AssistantLine) -> bool:
    """Return whether a line is one more block of the last answer, with the usage that the line before repeated."""
    one, other = line.message, last.message
    return bool(
        line.request_id
        and line.request_id == last.request_id
        and line.timestamp >= last.timestamp
        and (one.id, one.model, one.usage, one.stop_reason) == (other.id, other.model, other.usage, other.stop_reason)
        and (line.session_id, line.request_session_id) == (last.session_id, last.request_session_id)
        and (line.requested_model, line.attribution_agent) == (last.requested_model, last.attribution_agent)
        and (line.version, line.entrypoint) == (last.version, last.entrypoint)
    )


def _session(line: lines.AssistantLine, request: model.ApiRequest, labels: dict[str, Any]) -> model.Session:
    """Return what an answer says about its session."""
    cached = (request.cache_read_tokens, request.cache_write_5m_tokens, request.cache_write_1h_tokens)
    return model.Session(
        session_id=line.session_id,
        last_seen_ns=line.timestamp,  # with light registration, no hook event comes for minutes
        model=request.model,
        forked_from=request.session_id if request.session_id != line.session_id else None,
        context_tokens=sum(tokens or 0 for tokens in (request.input_tokens, *cached)),
        client_version=line.version,
        entrypoint=line.entrypoint,
        **labels,
    )
