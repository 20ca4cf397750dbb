"""From facts to waiting records: what of a session is complete and was not written yet goes into the outbox, once.

Inside the transaction of the facts. A session is looked at once nothing of it has arrived for some seconds: then its witnesses have
told what they know, and what is written is never written otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.outbox import LOGS, TRACES
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.content import content_of
from claude_hooks_otel.traces.log_events import events_of
from claude_hooks_otel.traces.model import LogEvent, Record, Span
from claude_hooks_otel.traces.pending_sessions import DueSessions
from claude_hooks_otel.traces.program_spans import spans_of_programs
from claude_hooks_otel.traces.session_facts import SessionFacts
from claude_hooks_otel.traces.spans import spans_of_turns
from claude_hooks_otel.traces.turn_trace import Sampler
from claude_hooks_otel.units import END_OF_TIME, SECOND

# A session is looked at once nothing of it has arrived for this long; and one that is never silent, this long after a change.
QUIET_NS, LONGEST_WAIT_NS = 5 * SECOND, 30 * SECOND
# Requests and calls that are in memory at a time, if the turns are not longer than that.
FACTS_AT_A_TIME = 5000

SpanObserver = Callable[[Sequence[Span]], None]


class RecordWriter:
    """Writes the records of one store; a ``Journal`` of it.

    Args:
        store: the facts; the caller of each method holds the transaction.
        exporters: signal → the names of those that want its records; read each time.
        sample: which traces are sent.
        follow_traceparent: whether a turn continues the trace that its client was started in.
        on_spans: are told of all finished spans, each once, whether they are sent or not.
        on_sent_spans: are told of those that are sent.
    """

    def __init__(
        self,
        store: Store,
        exporters: Mapping[str, Collection[str]],
        *,
        sample: Sampler = lambda *_: True,
        follow_traceparent: bool = False,
        on_spans: Sequence[SpanObserver] = (),
        on_sent_spans: Sequence[SpanObserver] = (),
    ) -> None:
        self._store = store
        self._exporters = exporters
        self._sample = sample
        self._follow_traceparent = follow_traceparent
        self._on_spans, self._on_sent_spans = on_spans, on_sent_spans
        self._due = DueSessions(store.connection)
        self._programs: set[str] = set()  # the ids of programs' spans that ended since the last flush
        # Session → since when it has something new to tell that was not looked at.
        self._waiting_ns: dict[str, int] = {}
        self.written = 0  # how many records were: a different number means there is news to deliver

    @property
    def _wants_spans(self) -> bool:
        return bool(self._exporters.get(TRACES) or self._on_spans)

    # -- a journal of the store ------------------------------------------------------------------------------------------------

    def note(self, fact: model.Fact) -> None:
        """A fact is new, or has changed."""
        if isinstance(fact, model.SdkSpan):
            self._programs.add(fact.span_id)
        else:
            self._due.note(fact)

    def mark(self) -> int:
        """See ``DueSessions.mark``; a program's span that was undone is not in the store, and is looked for in vain."""
        return 0

    def rewind(self, mark: int) -> None:
        """See ``mark``."""

    def discard(self) -> None:
        """Forgets what was noted since the last flush."""
        self._due.discard()
        self._programs.clear()

    def flush(self) -> None:
        """Writes what was noted: which sessions are due, and the spans of programs, which are final."""
        self._due.flush()
        if self._programs and self._wants_spans:
            self._write_programs()
        self._programs.clear()

    # -- sessions --------------------------------------------------------------------------------------------------------------

    def write(self, session_id: str, now_ns: int, quiet_ns: int, *, is_over: bool) -> None:
        """Writes what a session has to tell, if the time has come.

        Args:
            session_id: which session; it is settled.
            now_ns: the time.
            quiet_ns: how long nothing of it has arrived.
            is_over: whether nothing more is expected of it.
        """
        self._due.flush()
        due = self._due.get(session_id)
        if due is None or not (due.is_new or is_over):
            self._waiting_ns.pop(session_id, None)
            return
        waited_ns = now_ns - self._waiting_ns.setdefault(session_id, now_ns)
        if not is_over and quiet_ns < QUIET_NS and waited_ns < LONGEST_WAIT_NS:
            return
        self._waiting_ns.pop(session_id)
        held_spans_ns = held_events_ns = None
        if due.spans_since_ns is not None and self._wants_spans:
            held_spans_ns = self._write_spans(session_id, due.spans_since_ns, is_over=is_over)
        if due.events_since_ns is not None and self._exporters.get(LOGS):
            held_events_ns = self._write_events(session_id, due.events_since_ns, is_over=is_over)
        if is_over:
            held_spans_ns = held_events_ns = None  # what has no place by now never gets one
        self._due.told(session_id, held_spans_ns, held_events_ns)

    def put_off(self, session_id: str) -> None:
        """Its records cannot be written now: it is not looked at again before something of it changes, or it is over."""
        self._waiting_ns.pop(session_id, None)
        self._due.put_off(session_id)

    def _write_spans(self, session_id: str, since_ns: int, *, is_over: bool) -> int | None:
        """Returns from when on something is not complete yet."""
        held: list[int] = []
        until_ns = END_OF_TIME
        if not is_over and (open_ns := self._open_since(session_id)) is not None:
            # A turn that goes on tells nothing: there is no need to read all of it again and again.
            if since_ns >= open_ns:
                return open_ns
            held.append(open_ns)
            until_ns = open_ns
        for begin_ns, end_ns in self._stretches(session_id, since_ns, until_ns):
            facts = SessionFacts.of(self._store, session_id, begin_ns, end_ns)
            if facts is None:
                break
            found = spans_of_turns(facts, is_over=is_over, follow_traceparent=self._follow_traceparent)
            if found.held_ns is not None:
                held.append(found.held_ns)
            self._put_spans([span for spans in found.spans.values() for span in spans])
        return min(held, default=None)

    def _open_since(self, session_id: str) -> int | None:
        """When the first of the turns began that have not ended and that no ended one follows."""
        open_ns: int | None = self._store.connection.execute(
            "SELECT MIN(started_ns) FROM turn WHERE session_id = :session AND ended_ns IS NULL AND started_ns > COALESCE("
            "(SELECT MAX(started_ns) FROM turn WHERE session_id = :session AND ended_ns IS NOT NULL), 0)",
            {"session": session_id},
        ).fetchone()[0]
        return open_ns

    def _stretches(self, session_id: str, since_ns: int, until_ns: int = END_OF_TIME) -> Iterator[tuple[int, int]]:
        """From the beginning of the turn in which ``since_ns`` lies: whole turns, as many as fit into memory."""
        begins = [
            at_ns
            for (at_ns,) in self._store.connection.execute(
                "SELECT started_ns FROM turn WHERE session_id = ? AND started_ns IS NOT NULL ORDER BY started_ns",
                (session_id,),
            )
        ]
        # What lies before the first turn is the first one's, unless it is what pruning left of older turns.
        begin = int(self._store.meta("pruned_ns", "0"))
        rest = [at_ns for at_ns in begins[1:] if since_ns < at_ns < until_ns]
        if passed := [at_ns for at_ns in begins[1:] if at_ns <= since_ns]:
            begin = passed[-1]
        counted = 0
        start = begin
        for at_ns in rest:
            counted += self._facts_between(session_id, start, at_ns)
            start = at_ns
            if counted >= FACTS_AT_A_TIME:
                yield begin, at_ns
                begin, counted = at_ns, 0
        yield begin, until_ns

    def _facts_between(self, session_id: str, begin_ns: int, end_ns: int) -> int:
        row = self._store.connection.execute(
            "SELECT (SELECT COUNT(*) FROM api_request WHERE session_id = :session AND at_ns >= :begin AND at_ns < :end) + "
            "(SELECT COUNT(*) FROM tool_call WHERE session_id = :session AND started_ns >= :begin AND started_ns < :end)",
            {"session": session_id, "begin": begin_ns, "end": end_ns},
        ).fetchone()
        return int(row[0])

    def _write_events(self, session_id: str, since_ns: int, *, is_over: bool) -> int | None:
        """Returns from when on something cannot be told yet."""
        held: list[int] = []
        for begin_ns, end_ns in self._stretches(session_id, since_ns):
            facts = SessionFacts.of(self._store, session_id, max(begin_ns, since_ns), end_ns)
            if facts is None:
                break
            found = events_of(
                facts, is_over=is_over, follow_traceparent=self._follow_traceparent, is_sent=self._is_sent
            )
            if found.held_ns is not None:
                held.append(found.held_ns)
            self._put_events(found.events)
        return min(held, default=None)

    def _put_events(self, events: Sequence[LogEvent]) -> None:
        found = {event.uid: event for event in events}
        fresh = self._new(LOGS, found)
        new = [event for uid, event in found.items() if uid in fresh]
        self._put(LOGS, list(fresh), self._with_content(new))

    # -- spans -----------------------------------------------------------------------------------------------------------------

    def _write_programs(self) -> None:
        found = [self._store.get(model.SdkSpan, span_id) for span_id in sorted(self._programs)]
        ended = [span for span in found if span is not None]
        self._put_spans(spans_of_programs(ended))

    def _put_spans(self, spans: Sequence[Span]) -> None:
        found = {span.span_id: span for span in spans}
        fresh = self._new(TRACES, found)
        new = [span for span_id, span in found.items() if span_id in fresh]
        if not new:
            return
        sent = [span for span in new if self._is_sent(span.trace_id, span.parent_sampled)]
        self._put(TRACES, list(fresh), self._with_content(sent))
        for observe in self._on_spans:
            observe(new)
        for observe in self._on_sent_spans if sent else ():
            observe(sent)

    def _is_sent(self, trace_id: int, parent_sampled: bool | None) -> bool:
        """A ``Sampler`` that knows of what nobody wants."""
        return bool(self._exporters.get(TRACES)) and self._sample(trace_id, parent_sampled)

    # -- the outbox ------------------------------------------------------------------------------------------------------------

    def _new(self, signal: str, ids: Collection[int]) -> set[int]:
        return outbox.unwritten(self._store.connection, signal, ids)

    def _put(self, signal: str, ids: Sequence[int], records: Sequence[Record]) -> None:
        now_ns = self._store.now_ns()
        outbox.mark_written(self._store.connection, signal, ids, now_ns)
        for exporter in self._exporters.get(signal, ()):
            outbox.put(self._store.connection, signal, exporter, records, now_ns)
            self.written += len(records)

    def _with_content(self, records: Sequence[Record]) -> list[Record]:
        """The records with lengths and digests of what they are about, and the texts that their owner had captured."""
        owners = [_owner(record) for record in records]
        content = content_of(self._store, [owner for owner in owners if owner])
        return [
            replace(record, attributes={**record.attributes, **content[owner]}) if owner in content else record
            for record, owner in zip(records, owners, strict=True)
        ]


def _owner(record: Record) -> str:
    """Whose content a record shows: a prompt's or a tool call's id; empty for none."""
    if isinstance(record, LogEvent):
        name = {names.EVENT_PROMPT: names.PROMPT, names.EVENT_TOOL_RESULT: names.TOOL_CALL}.get(record.name, "")
        return str(record.attributes.get(name, ""))
    if isinstance(record.fact, model.Turn):
        return record.fact.prompt_id
    return record.fact.tool_use_id if isinstance(record.fact, model.ToolCall) else ""
