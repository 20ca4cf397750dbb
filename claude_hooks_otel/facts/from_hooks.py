"""What each hook event says: from a captured envelope to facts and ledger rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from claude_hooks_otel.facts import from_tools, model
from claude_hooks_otel.facts.content import HOOK, ContentKeeper
from claude_hooks_otel.facts.projects import repository_name
from claude_hooks_otel.facts.store import Signal, Store
from claude_hooks_otel.metrics.labels import Identity, normalize
from claude_hooks_otel.sources import hook_payloads as events
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.units import MILLISECOND

# Who works in the main conversation, whatever it was started as.
MAIN = "main"
# Names the writer's version of the client: AI_AGENT=claude-code_2-1-330_harness.
_CLIENT = re.compile(r"claude-code_([0-9]+(?:-[0-9]+)*)")

# Sessions whose last note is remembered: more than run at the same time.
SESSIONS_NOTED = 4096
# Characters of a trace context; those of version 00 have 55.
MAX_TRACEPARENT = 128

# (headers, directory) → whose event it is.
IdentityResolver = Callable[[Mapping[str, str], str | None], Identity]


class HookWitness:
    """Reads envelopes into the store.

    Args:
        store: where facts go; the caller holds the transaction.
        resolve: tells whose event it is.
        content: keeps what was asked, run and answered; None where nobody wants that.
    """

    def __init__(self, store: Store, resolve: IdentityResolver, content: ContentKeeper | None = None) -> None:
        self._store = store
        self._resolve = resolve
        self._content = content
        # What was last noted of a session, and what is still to be written of it: most events only say "still there".
        self._noted: dict[str, tuple[object, ...]] = {}
        self._last_seen: dict[str, tuple[int, int]] = {}

    def flush(self) -> None:
        """Writes what gathered over a transaction, inside it."""
        self._store.see_sessions(self._last_seen)
        self._last_seen.clear()

    def forget(self) -> None:
        """Drops what is remembered: after a transaction that did not happen."""
        self._noted.clear()
        self._last_seen.clear()

    def read(self, envelope: Envelope) -> events.HookEvent | None:
        """Takes one envelope in; returns its event, or None for a copy of one that was taken in before.

        Raises:
            PayloadError: the payload is no hook event.
        """
        event = events.parse(envelope.payload)
        at = envelope.received_ns
        signal = Signal(at, event.hook_event_name, event.agent_id or "", event.prompt_id or "", _detail(event))
        # Copies of one hook have their client in common; two runs that resume a session in the same second have not.
        client = envelope.headers.get("process", "").encode()
        digest = hashlib.blake2b(envelope.payload + client, digest_size=16).digest()
        if not self._store.record_event(digest, event.session_id, signal):
            return None
        self._note_drift(event)
        identity = self._resolve(envelope.headers, envelope.headers.get("project_directory") or event.cwd)
        self._session(event, envelope, identity)
        labels = identity.columns()
        match event:
            case events.UserPromptSubmit():
                self._prompt(event, at, labels, envelope.headers)
            case events.ToolEvent():
                self._tool(event, at, labels, envelope.headers)
            case events.SubagentStart() | events.SubagentStop():
                if event.agent_id and event.agent_type:
                    self._store.upsert(
                        model.Subagent(
                            agent_id=event.agent_id, session_id=event.session_id, agent_type=event.agent_type, **labels
                        )
                    )
            case events.InstructionsLoaded():
                self._pattern(event, at, labels, digest)
            case events.PostModelSwitch():
                self._store.upsert(
                    model.ModelSwitch(
                        switch_id=f"{digest.hex()}.{at}",
                        session_id=event.session_id,
                        from_model=event.from_model,
                        to_model=event.to_model,
                        at_ns=at,
                        **labels,
                    )
                )
            case _:
                pass  # the ledger has it, and facts.settle reads it there
        return event

    def _note_drift(self, event: events.HookEvent) -> None:
        if isinstance(event, events.OtherEvent):
            self._store.note_drift("event", event.hook_event_name[:64])
        for name in event.model_extra or ():
            self._store.note_drift("field", f"{event.hook_event_name}.{name}"[:128])

    def _session(self, event: events.HookEvent, envelope: Envelope, identity: Identity) -> None:
        session_id, headers, at = event.session_id, envelope.headers, envelope.received_ns
        first, last = self._last_seen.get(session_id, (at, at))
        self._last_seen[session_id] = (min(first, at), max(last, at))
        chosen_model = event.model if isinstance(event, events.SessionStart) else None
        note = (identity, event.transcript_path, headers.get("process"), headers.get("client"), chosen_model)
        if self._noted.get(session_id) == note:
            return
        while len(self._noted) >= SESSIONS_NOTED:
            del self._noted[next(iter(self._noted))]
        self._noted[session_id] = note
        client = _CLIENT.match(headers.get("client", ""))
        process = headers.get("process", "")
        self._store.upsert(
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
                **identity.columns(),
            )
        )
        self._store.note_identity(session_id, at, identity)

    def _prompt(
        self, event: events.UserPromptSubmit, at: int, labels: dict[str, Any], headers: Mapping[str, str]
    ) -> None:
        prompt_id = event.prompt_id or f"{event.session_id}:{at}"  # clients before 2.1.196 name no prompt
        humans = sum(
            signal.prompt_id == (event.prompt_id or "") and signal.detail == "human"
            for signal in self._store.signals(event.session_id, "UserPromptSubmit")
        ) if event.prompt_id else int(event.is_human)  # fmt: skip
        self._store.upsert(
            model.Turn(
                prompt_id=prompt_id,
                session_id=event.session_id,
                started_ns=at,
                prompts_seen_by_hooks=humans or None,
                repository=repository_name(event.cwd) if event.cwd else None,
                traceparent=headers.get("traceparent", "")[:MAX_TRACEPARENT] or None,
                **labels,
            )
        )
        if self._content and event.is_human:
            self._content.prompt(HOOK, prompt_id, at, event.prompt)

    def _tool(self, event: events.ToolEvent, at: int, labels: dict[str, Any], headers: Mapping[str, str]) -> None:
        if not event.tool_use_id:
            return
        duration = None if event.duration_ms is None else round(event.duration_ms * MILLISECOND)
        self._store.upsert(
            model.ToolCall(
                tool_use_id=event.tool_use_id,
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
            self._content.tool_call(HOOK, event.tool_use_id, at, event.tool_name, event.tool_input, result)
        if isinstance(event, events.PermissionDenied) or not isinstance(event.tool_input, dict):
            return
        succeeded = isinstance(event, events.PostToolUse)
        from_tools.record(
            self._store,
            from_tools.FinishedCall(
                tool_use_id=event.tool_use_id,
                session_id=event.session_id,
                tool=event.tool_name,
                arguments=event.tool_input,
                result=result,
                succeeded=succeeded,
                ended_ns=at,
                labels=labels,
                began_ns=None if duration is None else at - duration,
                directory=event.cwd,
                wishes=headers,
            ),
        )

    def _pattern(self, event: events.InstructionsLoaded, at: int, labels: dict[str, Any], digest: bytes) -> None:
        if event.file_path:
            name = normalize(event.file_path)  # its last part alone
            self._store.upsert(
                model.PatternLoad(
                    load_id=f"{digest.hex()}.{at}", session_id=event.session_id, pattern=name, at_ns=at, **labels
                )
            )


def _outcome(event: events.ToolEvent) -> str:
    if isinstance(event, events.PostToolUse):
        return "success"
    if isinstance(event, events.PermissionDenied):
        return "denied"
    return "interrupted" if isinstance(event, events.PostToolUseFailure) and event.is_interrupt else "error"


def _detail(event: events.HookEvent) -> str:
    """The one word about an event that pairing and counting need; never content."""
    match event:
        case events.SessionStart():
            return event.source
        case events.SessionEnd():
            return event.reason
        case events.UserPromptSubmit():
            return "human" if event.is_human else "notification"
        case events.StopFailure():
            return event.error
        case events.PreCompact() | events.PostCompact():
            return event.trigger
        case events.SubagentStart() | events.SubagentStop():
            return event.agent_type or ""
        case events.PermissionRequest():
            return event.tool_name
        case events.Notification():
            return event.notification_type or ""
        case events.TaskEvent():
            return event.task_id
        case events.InstructionsLoaded():
            return event.memory_type or ""
        case events.ToolEvent():
            return event.tool_use_id or ""
        case _:
            return ""
