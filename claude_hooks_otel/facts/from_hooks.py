"""Facts from hook events. Each event also becomes an entry of the ledger."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from claude_hooks_otel.facts import from_tools, model
from claude_hooks_otel.facts.content import HOOK, ContentKeeper
from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.identities import IdentityResolver
from claude_hooks_otel.facts.ledger import LedgerEntry
from claude_hooks_otel.facts.projects import repository_in_time
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics.labels import Identity, normalize
from claude_hooks_otel.metrics.outcomes import ToolOutcome
from claude_hooks_otel.sources import hook_payloads as events
from claude_hooks_otel.sources.call_ids import call_identity
from claude_hooks_otel.sources.captured import CapturedEvent
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.unknown import Unknowns
from claude_hooks_otel.units import MILLISECOND

# The ``agent_type`` of the main conversation.
MAIN = "main"
# The client's version in its variable AI_AGENT, for example "claude-code_2-1-330_harness"; in older clients "claude-code/2.1.120/harness".
_CLIENT = re.compile(r"claude-code[_/]([0-9]+(?:[-.][0-9]+)*)")
# How many sessions the reader remembers. Fewer than that run at the same time.
MAX_REMEMBERED_SESSIONS = 4096
# How many unknown fields of one event are counted.
MOST_UNKNOWN_FIELDS = 100
# Characters of a trace context. One of version 00 has 55.
MAX_TRACEPARENT = 128


class HookReader:
    """Reads hook events into facts, inside the caller's transaction.

    Args:
        facts: gets the facts.
        unknowns: counts the events and fields that the payload models lack.
        resolve: returns the identity that an event counts for.
        content: keeps prompts, inputs and outputs; None if no exporter wants them.
    """

    def __init__(
        self, facts: Facts, unknowns: Unknowns, resolve: IdentityResolver, content: ContentKeeper | None = None
    ) -> None:
        self._facts = facts
        self._unknowns = unknowns
        self._resolve = resolve
        self._content = content
        # Most events change only the time at which their session was seen. That time is written once for each transaction, and the
        # rest of the session only when it differs from what was written last.
        self._written: dict[str, tuple[object, ...]] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def flush(self) -> None:
        """Write when sessions were seen, at the end of a transaction."""
        self._facts.see_sessions(self._seen)
        self._seen.clear()

    def rewind(self) -> None:
        """Forget what the reader remembers, after a failed transaction."""
        self._written.clear()
        self._seen.clear()

    def read(self, captured: CapturedEvent) -> bool:
        """Read one event. Return False if it is a copy of an earlier one."""
        event, envelope = captured.event, captured.envelope
        at = envelope.received_ns
        process = envelope.headers.get("process", "")
        entry = LedgerEntry(
            at, event.hook_event_name, event.agent_id or "", event.prompt_id or "", _detail(event), process
        )
        # Two copies of one hook have the same client. Two runs that resume a session within the same second have not.
        digest = hashlib.blake2b(envelope.payload + process.encode(), digest_size=16).digest()
        if not self._facts.ledger.enter(digest, event.session_id, entry):
            return False
        self._count_unknowns(event)
        identity = self._identity(event, envelope)
        if not isinstance(event, events.InstructionsLoaded):  # its session id may be provisional
            self._session(event, envelope, identity)
        labels = identity.columns()
        if isinstance(event, events.UserPromptSubmit):
            self._prompt(event, at, labels, envelope.headers)
        elif isinstance(event, events.ToolEvent):
            self._tool(event, at, labels, envelope.headers)
        else:
            self._facts.upsert(*_other_facts(event, f"{digest.hex()}.{at}", at, labels))
        return True

    def _identity(self, event: events.HookEvent, envelope: Envelope) -> Identity:
        """Return for whom an event counts. A turn counts for the branch on which it began, whatever is checked out later."""
        before = functools.partial(self._facts.identities.at, event.session_id, envelope.received_ns)
        directory = envelope.headers.get("project_directory") or event.cwd
        identity = self._resolve(envelope.headers, directory, before)
        begins = isinstance(event, events.SessionStart | events.UserPromptSubmit)
        if identity.branch_label is None or begins or (known := before()) is None:
            return identity
        return replace(identity, branch_label=known.branch_label)

    def _count_unknowns(self, event: events.HookEvent) -> None:
        if isinstance(event, events.OtherEvent):
            self._unknowns.count("event", event.hook_event_name[:64])
        for name in islice(event.model_extra or (), MOST_UNKNOWN_FIELDS):
            self._unknowns.count("field", f"{event.hook_event_name}.{name}"[:128])

    def _session(self, event: events.HookEvent, envelope: Envelope, identity: Identity) -> None:
        session_id, headers, at = event.session_id, envelope.headers, envelope.received_ns
        first, last = self._seen.get(session_id, (at, at))
        self._seen[session_id] = (min(first, at), max(last, at))
        chosen_model = event.model if isinstance(event, events.SessionStart) else None
        is_light = headers.get("registration") == Registration.LIGHT
        state = (identity, event.transcript_path, headers.get("process"), headers.get("client"), chosen_model, is_light)
        if self._written.get(session_id) == state:
            return
        while len(self._written) >= MAX_REMEMBERED_SESSIONS:
            del self._written[next(iter(self._written))]
        self._written[session_id] = state
        client = _CLIENT.match(headers.get("client", ""))
        process = headers.get("process", "")
        self._facts.upsert(
            model.Session(
                session_id=session_id,
                first_seen_ns=at,
                last_seen_ns=at,
                client_version=client[1].replace("-", ".") if client else None,
                entrypoint=headers.get("entrypoint"),
                terminal=headers.get("terminal"),
                process=int(process) if process.isdecimal() else None,
                transcript_path=event.transcript_path,
                task_type=headers.get("task_type"),
                task_complexity=headers.get("task_complexity"),
                model=chosen_model,
                registration=Registration.LIGHT if is_light else Registration.FULL,
                **identity.columns(),
            )
        )
        self._facts.identities.note(session_id, at, identity)

    def _prompt(
        self, event: events.UserPromptSubmit, at: int, labels: dict[str, Any], headers: Mapping[str, str]
    ) -> None:
        prompt_id = event.prompt_id or f"{event.session_id}:{at}"  # clients before 2.1.196 send no prompt id
        self._facts.upsert(
            model.Turn(
                prompt_id=prompt_id,
                session_id=event.session_id,
                started_ns=at,
                prompts_seen_by_hooks=self._human_prompts(event) or None,
                repository=repository_in_time(event.cwd) if event.cwd else None,
                traceparent=headers.get("traceparent", "")[:MAX_TRACEPARENT] or None,
                **labels,
            )
        )
        if self._content and event.is_human:
            self._content.prompt(HOOK, prompt_id, at, event.prompt)

    def _human_prompts(self, event: events.UserPromptSubmit) -> int:
        """Return how many prompts of a human the ledger has under the event's prompt id."""
        if not event.prompt_id:
            return int(event.is_human)
        entries = self._facts.ledger.entries(event.session_id, "UserPromptSubmit")
        return sum(entry.prompt_id == event.prompt_id and entry.detail == "human" for entry in entries)

    def _tool(self, event: events.ToolEvent, at: int, labels: dict[str, Any], headers: Mapping[str, str]) -> None:
        if not event.tool_use_id:
            return
        identity = call_identity(event.tool_use_id, event.session_id, event.prompt_id, event.agent_id)
        duration = None if event.duration_ms is None else round(event.duration_ms * MILLISECOND)
        self._facts.upsert(
            model.ToolCall(
                tool_use_id=identity,
                session_id=event.session_id,
                agent_id=event.agent_id,
                agent_type=(event.agent_type or None) if event.agent_id else MAIN,
                prompt_id=event.prompt_id,
                tool=event.tool_name,
                outcome=_outcome(event),
                started_ns=at - (duration or 0),
                ended_ns=at,
                duration_ns=duration,
                seen_by_hooks=1,
                **labels,
            )
        )
        result = event.tool_response if isinstance(event, events.PostToolUse) else getattr(event, "error", None)
        if self._content:
            self._content.tool_call(HOOK, identity, at, event.tool_name, event.tool_input, result)
        if isinstance(event, events.PermissionDenied) or not isinstance(event.tool_input, dict):
            return
        call = FinishedCall(
            tool_use_id=identity,
            session_id=event.session_id,
            tool=event.tool_name,
            arguments=event.tool_input,
            result=result,
            succeeded=isinstance(event, events.PostToolUse),
            ended_ns=at,
            labels=labels,
            began_ns=None if duration is None else at - duration,
            is_timed=True,
            directory=event.cwd,
            task_defaults=headers,
        )
        from_tools.add_effects(self._facts, call)


def _other_facts(event: events.HookEvent, event_id: str, at: int, labels: dict[str, Any]) -> Iterator[model.Fact]:
    """Yield the facts of an event that is neither a prompt nor a tool call. Most have none: pairing reads them from the ledger."""
    own = {"session_id": event.session_id, **labels}
    match event:
        case events.SubagentStart() | events.SubagentStop() if event.agent_id and event.agent_type:
            yield model.Subagent(agent_id=event.agent_id, agent_type=event.agent_type, **own)
        case events.InstructionsLoaded() if event.file_path:
            # ``normalize`` keeps only the last part of the path.
            yield model.PatternLoad(load_id=event_id, pattern=normalize(event.file_path), at_ns=at, **own)
        case events.PostModelSwitch():
            yield model.ModelSwitch(
                switch_id=event_id, from_model=event.from_model, to_model=event.to_model, at_ns=at, **own
            )


def _outcome(event: events.ToolEvent) -> ToolOutcome:
    if isinstance(event, events.PostToolUse):
        return ToolOutcome.SUCCESS
    if isinstance(event, events.PermissionDenied):
        return ToolOutcome.DENIED
    interrupted = isinstance(event, events.PostToolUseFailure) and event.is_interrupt
    return ToolOutcome.INTERRUPTED if interrupted else ToolOutcome.ERROR


def _detail(event: events.HookEvent) -> str:
    """Return the one word about an event that pairing and counting need; never content."""
    match event:
        case events.SessionStart():
            return event.source
        case events.SessionEnd():
            return event.reason
        case events.UserPromptSubmit():
            return "human" if event.is_human else "notification"
        case events.StopFailure():
            return event.error
        case events.PostCompact():
            return event.trigger
        case events.PermissionRequest():
            return event.tool_name
        case events.Notification():
            return event.notification_type or ""
        case _:
            return ""
