"""Writes spans and log events into the outbox, each once, in the transaction of the facts.

The writer looks at a session after some seconds of silence. Then all its sources have reported, so what it writes is final.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.timeline import WRITTEN_AFTER, WRITTEN_AT_LATEST
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.content import content_of
from claude_hooks_otel.traces.log_events import events_of
from claude_hooks_otel.traces.model import LOGS, TRACES, Item, LogEvent, Span
from claude_hooks_otel.traces.pending_sessions import PendingSessions
from claude_hooks_otel.traces.program_spans import spans_of_programs
from claude_hooks_otel.traces.session_facts import SessionFacts
from claude_hooks_otel.traces.spans import spans_of_turns
from claude_hooks_otel.traces.turn_trace import Sampler
from claude_hooks_otel.traces.written import mark_written
from claude_hooks_otel.units import END_OF_TIME

# How many requests and calls are in memory at a time, unless a single turn has more.
FACTS_AT_A_TIME = 5000

SpanObserver = Callable[[Sequence[Span]], None]


class Outbox(Protocol):
    """Where spans and log events wait for their exporters."""

    def wants(self, signal: str) -> bool:
        """Return whether any exporter wants the items of a signal."""

    def put(self, signal: str, items: Sequence[Item]) -> None:
        """Write the items for every exporter that wants them, inside the caller's transaction."""


class TraceWriter:
    """Writes the spans and log events of one store. A participant of its transactions.

    Args:
        facts: the facts of the store.
        pending: the pending sessions. It listens to the same facts.
        outbox: where spans and log events wait.
        sample: says which traces are sent.
        follow_traceparent: whether a turn continues the trace in which its client was started.
        on_spans: called with all finished spans, each once, whether they are sent or not.
        on_sent_spans: called with the spans that are sent.
        left_out: signal → the attributes that its items do not have.
    """

    def __init__(
        self,
        facts: Facts,
        pending: PendingSessions,
        outbox: Outbox,
        *,
        sample: Sampler = lambda *_: True,
        follow_traceparent: bool = False,
        on_spans: Sequence[SpanObserver] = (),
        on_sent_spans: Sequence[SpanObserver] = (),
        left_out: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self._facts = facts
        self._pending = pending
        self._outbox = outbox
        self._sample = sample
        self._follow_traceparent = follow_traceparent
        self._on_spans, self._on_sent_spans = on_spans, on_sent_spans
        self._left_out = left_out
        # Session → since when it waits for a look, in Unix nanoseconds.
        self._waiting_ns: dict[str, int] = {}

    @property
    def _wants_spans(self) -> bool:
        return self._outbox.wants(TRACES) or bool(self._on_spans)

    # -- a participant of the store's transactions ---------------------------------------------------------------------------

    def mark(self) -> int:
        """Return a dummy mark. A rollback needs no mark: an unnecessary look at a session writes nothing twice."""
        return 0

    def rewind(self, mark: int) -> None:
        """Do nothing; see ``mark``."""

    def discard(self) -> None:
        """Forget what was noted in the current transaction."""
        self._pending.discard()

    def flush(self) -> None:
        """Write which sessions are pending, and the spans of programs, which are always final."""
        self._pending.flush()
        if (span_ids := self._pending.take_program_spans()) and self._wants_spans:
            found = [self._facts.get(model.ProgramSpan, span_id) for span_id in span_ids]
            self._put_spans(spans_of_programs([span for span in found if span is not None]))

    # -- sessions --------------------------------------------------------------------------------------------------------------

    def write(self, session_id: str, now_ns: int, silence_ns: int, *, is_over: bool) -> None:
        """Write the spans and log events of a session, if it has been silent long enough.

        Args:
            session_id: the session. Its facts are paired.
            now_ns: the time, in Unix nanoseconds.
            silence_ns: how long nothing of the session has arrived.
            is_over: whether the session is over.
        """
        self._facts.flush()  # which notes what is pending
        self._pending.flush()
        pending = self._pending.get(session_id)
        if pending is None or not (pending.is_new or is_over):
            self._waiting_ns.pop(session_id, None)
            return
        waited_ns = now_ns - self._waiting_ns.setdefault(session_id, now_ns)
        if not is_over and silence_ns < WRITTEN_AFTER and waited_ns < WRITTEN_AT_LATEST:
            return
        self._waiting_ns.pop(session_id)
        held_spans_ns = held_events_ns = None
        if pending.spans_since_ns is not None and self._wants_spans:
            held_spans_ns = self._write_spans(session_id, pending.spans_since_ns, is_over=is_over)
        if pending.events_since_ns is not None and self._outbox.wants(LOGS):
            held_events_ns = self._write_events(session_id, pending.events_since_ns, is_over=is_over)
        if is_over:
            held_spans_ns = held_events_ns = None  # what is incomplete now stays incomplete
        self._pending.written(session_id, held_spans_ns, held_events_ns)

    def put_off(self, session_id: str) -> None:
        """Skip a session that cannot be written, until one of its facts changes, or until it is over."""
        self._waiting_ns.pop(session_id, None)
        self._pending.put_off(session_id)

    def _write_spans(self, session_id: str, since_ns: int, *, is_over: bool) -> int | None:
        """Write finished spans. Return when the first incomplete turn began, in Unix nanoseconds; None if all are complete."""
        held: list[int] = []
        until_ns = END_OF_TIME
        if not is_over and (open_ns := self._open_since(session_id)) is not None:
            # A running turn has nothing to write, so it need not be read.
            if since_ns >= open_ns:
                return open_ns
            held.append(open_ns)
            until_ns = open_ns
        for begin_ns, end_ns in self._stretches(session_id, since_ns, until_ns):
            facts = SessionFacts.of(self._facts, session_id, begin_ns, end_ns)
            if facts is None:
                break
            found = spans_of_turns(facts, is_over=is_over, follow_traceparent=self._follow_traceparent)
            if found.held_ns is not None:
                held.append(found.held_ns)
            self._put_spans([span for spans in found.spans.values() for span in spans])
        return min(held, default=None)

    def _write_events(self, session_id: str, since_ns: int, *, is_over: bool) -> int | None:
        """Write log events. Return the time of the first that cannot be made yet, in Unix nanoseconds; None if all are made."""
        held: list[int] = []
        for begin_ns, end_ns in self._stretches(session_id, since_ns):
            facts = SessionFacts.of(self._facts, session_id, max(begin_ns, since_ns), end_ns)
            if facts is None:
                break
            found = events_of(
                facts, is_over=is_over, follow_traceparent=self._follow_traceparent, is_sent=self._is_sent
            )
            if found.held_ns is not None:
                held.append(found.held_ns)
            self._put_events(found.events)
        return min(held, default=None)

    # -- a long session is written in stretches of whole turns, to limit the memory ---------------------------------------------

    def _open_since(self, session_id: str) -> int | None:
        """Return when the first running turn after the last ended turn began, in Unix nanoseconds."""
        open_ns: int | None = self._facts.connection.execute(
            "SELECT MIN(started_ns) FROM turn WHERE session_id = :session AND ended_ns IS NULL AND started_ns > COALESCE("
            "(SELECT MAX(started_ns) FROM turn WHERE session_id = :session AND ended_ns IS NOT NULL), 0)",
            {"session": session_id},
        ).fetchone()[0]
        return open_ns

    def _stretches(self, session_id: str, since_ns: int, until_ns: int = END_OF_TIME) -> Iterator[tuple[int, int]]:
        """Yield stretches of whole turns that fit into memory, from the turn that runs at ``since_ns``."""
        rows = self._facts.connection.execute(
            "SELECT started_ns FROM turn WHERE session_id = ? AND started_ns IS NOT NULL ORDER BY started_ns LIMIT -1 OFFSET 1",
            (session_id,),
        )
        later = [at_ns for (at_ns,) in rows]  # a time before the first turn counts as in the first turn
        begin = start = max((at_ns for at_ns in later if at_ns <= since_ns), default=0)
        counted = 0
        for at_ns in (at_ns for at_ns in later if since_ns < at_ns < until_ns):
            counted += self._facts_between(session_id, start, at_ns)
            start = at_ns
            if counted >= FACTS_AT_A_TIME:
                yield begin, at_ns
                begin, counted = at_ns, 0
        yield begin, until_ns

    def _facts_between(self, session_id: str, begin_ns: int, end_ns: int) -> int:
        row = self._facts.connection.execute(
            "SELECT (SELECT COUNT(*) FROM api_request WHERE session_id = :session AND at_ns >= :begin AND at_ns < :end) + "
            "(SELECT COUNT(*) FROM tool_call WHERE session_id = :session AND started_ns >= :begin AND started_ns < :end)",
            {"session": session_id, "begin": begin_ns, "end": end_ns},
        ).fetchone()
        return int(row[0])

    # -- into the outbox -------------------------------------------------------------------------------------------------------

    def _put_events(self, events: Sequence[LogEvent]) -> None:
        found = {event.uid: event for event in events}
        fresh = self._mark_fresh(LOGS, found)
        new = [event for uid, event in found.items() if uid in fresh]
        self._outbox.put(LOGS, self._shown(LOGS, self._with_content(new)))

    def _put_spans(self, spans: Sequence[Span]) -> None:
        found = {span.span_id: span for span in spans}
        fresh = self._mark_fresh(TRACES, found)
        new = [span for span_id, span in found.items() if span_id in fresh]
        if not new:
            return
        sent = [span for span in new if self._is_sent(span.trace_id, span.parent_sampled)]
        self._outbox.put(TRACES, self._shown(TRACES, self._with_content(sent)))
        for observe in self._on_spans:
            observe(new)
        for observe in self._on_sent_spans if sent else ():
            observe(sent)

    def _mark_fresh(self, signal: str, ids: Collection[int]) -> set[int]:
        return mark_written(self._facts.connection, signal, ids, self._facts.store.now_ns())

    def _is_sent(self, trace_id: int, parent_sampled: bool | None) -> bool:
        return self._outbox.wants(TRACES) and self._sample(trace_id, parent_sampled)

    def _shown(self, signal: str, items: list[Item]) -> list[Item]:
        """Return the items without the attributes that their signal leaves out."""
        if not (left_out := self._left_out.get(signal)):
            return items
        return [
            replace(item, attributes={name: value for name, value in item.attributes.items() if name not in left_out})
            for item in items
        ]

    def _with_content(self, items: Sequence[Item]) -> list[Item]:
        """Return the items with the lengths and digests of their texts, and with the texts themselves if they are captured."""
        owners = [_owner(item) for item in items]
        content = content_of(self._facts, [owner for owner in owners if owner])
        return [
            replace(item, attributes={**item.attributes, **content[owner]}) if owner in content else item
            for item, owner in zip(items, owners, strict=True)
        ]


def _owner(item: Item) -> str:
    """Return the id of the prompt or tool call to which an item's texts belong; empty if the item has no texts."""
    if isinstance(item, LogEvent):
        name = {names.EVENT_PROMPT: names.PROMPT, names.EVENT_TOOL_RESULT: names.TOOL_CALL}.get(item.name, "")
        return str(item.attributes.get(name, ""))
    if isinstance(item.fact, model.Turn):
        return item.fact.prompt_id
    return item.fact.tool_use_id if isinstance(item.fact, model.ToolCall) else ""
