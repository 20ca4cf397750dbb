"""One session as a waterfall: the spans of its turns, those that also go out over OTLP, as bars on the time of their turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import FactReader
from claude_hooks_otel.formats import dollars, number
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.model import Span
from claude_hooks_otel.traces.session_facts import SessionFacts
from claude_hooks_otel.traces.spans import spans_of_turns
from claude_hooks_otel.units import DOLLAR, SECOND

# Turns on one page.
TURNS: Final = 30
# A bar is at least so wide, in percent of the turn.
NARROWEST: Final = 0.4
_RAN_WELL: Final = ("success", "completed", "allowed", "")


@dataclass(frozen=True, slots=True)
class Bar:
    """One span.

    Attributes:
        span_id: its id, in hexadecimal digits, as it goes out over OTLP.
        kind: ``turn``, ``subagent``, ``request``, ``tool`` or ``wait``.
        depth: how deeply it is nested in its turn.
        title: what it is.
        detail: a few words about it.
        start_ns, end_ns: Unix nanoseconds.
        left, width: its place in its turn, in percent.
        cost: in US dollars; None if it has none.
        failed: whether it failed.
    """

    span_id: str
    kind: str
    depth: int
    title: str
    detail: str
    start_ns: int
    end_ns: int
    left: float
    width: float
    cost: float | None
    failed: bool

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / SECOND


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Attributes:
        number: its place in the session, from 1.
        bars: its spans, the root first, each below its parent.
        cost: what its requests cost, in US dollars.
        counts: kind → how many.
        trace_id: its trace, in hexadecimal digits.
    """

    number: int
    bars: Sequence[Bar]
    cost: float
    counts: Mapping[str, int]
    trace_id: str

    @property
    def root(self) -> Bar:
        """The span of the turn itself."""
        return self.bars[0]


def read_turns(facts: FactReader, session_id: str, page: int, *, is_over: bool) -> tuple[list[Turn], int]:
    """Return one page of the finished turns of a session, and how many turns it has.

    Args:
        facts: the facts of the store.
        session_id: the session.
        page: from 1.
        is_over: whether the session is over. Then spans are made even if something has no end.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    begins = [
        at_ns
        for (at_ns,) in facts.connection.execute(
            "SELECT started_ns FROM turn WHERE session_id = ? AND started_ns IS NOT NULL ORDER BY started_ns",
            (session_id,),
        )
    ]
    first = (page - 1) * TURNS
    shown = begins[first : first + TURNS + 1]
    if not shown:
        return [], len(begins)
    stretch = {"begin_ns": shown[0] if first else 0} | ({"end_ns": shown[TURNS]} if len(shown) > TURNS else {})
    session = SessionFacts.of(facts, session_id, **stretch)
    if session is None:
        return [], len(begins)
    spans = spans_of_turns(session, is_over=is_over).spans
    numbers = {turn.prompt_id: place for place, turn in enumerate(session.turns, start=1)}
    found = [_turn(numbers.get(prompt_id, 0), each) for prompt_id, each in spans.items()]
    return sorted((turn for turn in found if turn is not None), key=lambda turn: turn.number), len(begins)


def _turn(place: int, spans: Sequence[Span]) -> Turn | None:
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids]
    root = next((span for span in roots if isinstance(span.fact, model.Turn)), None)
    if root is None:
        return None
    children: dict[int | None, list[Span]] = {}
    for span in spans:
        if span is not root:
            children.setdefault(span.parent_id if span.parent_id in ids else root.span_id, []).append(span)
    begin = min(span.start_ns for span in spans)
    length = max(1, max(span.end_ns for span in spans) - begin)
    bars = list(_bars(root, children, 0, begin, length))
    counts: dict[str, int] = {}
    for bar in bars[1:]:
        counts[bar.kind] = counts.get(bar.kind, 0) + 1
    cost = sum(bar.cost or 0 for bar in bars)
    return Turn(place, bars, cost, counts, f"{root.trace_id:032x}")


def _bars(span: Span, children: Mapping[int | None, list[Span]], depth: int, begin: int, length: int) -> Iterator[Bar]:
    left = 100 * (span.start_ns - begin) / length
    width = max(NARROWEST, 100 * (span.end_ns - span.start_ns) / length)
    kind, title, detail = _words(span)
    yield Bar(
        span_id=f"{span.span_id:016x}",
        kind=kind,
        depth=depth,
        title=title,
        detail=detail,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        left=round(min(left, 100 - NARROWEST), 3),
        width=round(min(width, 100 - min(left, 100 - NARROWEST)), 3),
        cost=_cost(span),
        failed=span.error is not None,
    )
    for child in sorted(children.get(span.span_id, ()), key=lambda each: (each.start_ns, -each.end_ns, each.span_id)):
        yield from _bars(child, children, depth + 1, begin, length)


def _cost(span: Span) -> float | None:
    value = span.attributes.get(names.COST)
    return value if isinstance(value, float) else None


def _words(span: Span) -> tuple[str, str, str]:
    """Return the kind of a span, its title, and a few words about it."""
    given = span.attributes
    match span.fact:
        case model.Turn():
            return "turn", "prompt", span.error or ""
        case model.SubagentTurn():
            return "subagent", str(given.get(names.AGENT_NAME, "sub-agent")), span.error or ""
        case model.ApiRequest():
            title = str(given.get(names.REQUEST_MODEL, "request")).removeprefix("claude-")
            tokens = (given.get(names.INPUT_TOKENS, 0), given.get(names.OUTPUT_TOKENS, 0))
            read, written = (number(each) if isinstance(each, int) else "0" for each in tokens)
            return "request", title, span.error or f"{read} → {written} tokens"
        case model.PermissionWait() as wait:
            return "wait", f"wait for you: {wait.tool or 'a tool'}", wait.decision or ""
    outcome = str(given.get(names.OUTCOME, ""))
    return "tool", str(given.get(names.TOOL_NAME, span.name)), "" if outcome in _RAN_WELL else outcome


def course(facts: FactReader, session_id: str) -> dict[str, Any]:
    """Return the cost and the context of a session over time, as the script of the page reads it.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    requests = facts.select(
        model.ApiRequest,
        "session_id = ? AND at_ns IS NOT NULL AND error IS NULL ORDER BY at_ns, message_id",
        session_id,
    )
    times, costs, contexts = [], [], []
    cost, context = 0, 0
    for request in requests:
        cost += request.cost or 0
        if request.agent_id is None:
            parts = (
                request.input_tokens, request.cache_read_tokens, request.cache_write_5m_tokens, request.cache_write_1h_tokens,
                request.output_tokens,
            )  # fmt: skip
            context = sum(part or 0 for part in parts)
        times.append((request.at_ns or 0) / SECOND)
        costs.append(cost / DOLLAR)
        contexts.append(context)
    return {
        "kind": "course",
        "times": times,
        "series": [
            {"name": "cost so far", "unit": "usd", "values": costs},
            {"name": "context", "unit": "tokens", "values": contexts},
        ],
        "last": dollars(costs[-1]) if costs else "",
    }
