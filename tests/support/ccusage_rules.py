"""The rules by which ccusage counts differently, each of them computed from the transcripts.

`count` counts as this project does. With rules, it counts as ccusage does where a rule says so. With all of them, it gives ccusage's numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from claude_hooks_otel.facts.pricing import TokenUsage, request_cost
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.units import DOLLAR, SECOND, unix_nanoseconds
from tests.support.ccusage import Prices

# Classes of tokens → their keys in ccusage's reports. It has one for both kinds of cache writes.
CLASSES: Final = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadTokens",
    "cache_write": "cacheCreationTokens",
}
EACH_CLASS: Final = {kind: kind for kind in CLASSES}


class Rule(Enum):
    """What ccusage does, and what this project does. The table in docs/numbers.md has the same sentences."""

    SIDE_REQUESTS = (
        "Requests that no transcript shows are missing.",
        "They count, as far as the client's account has them.",
    )
    ONE_LINE = (
        "Of an answer's lines, the one with the most tokens counts.",
        "The greatest number of each class counts.",
    )
    LINE_TIME = ("An answer has the time of that line.", "An answer has the time of its first line.")
    FIRST_FILE = (
        "In `session`, a line that a fork repeats counts for the session whose file name comes first.",
        "It counts for the session that paid.",
    )
    OLD_LAYOUT = (
        "In `session`, a sub-agent whose file is next to its session's file is a session of its own.",
        "It counts for its session.",
    )
    NO_REQUEST_ID = (
        "In `daily`, the lines of an answer without a request id count each, except in sub-agents. In all reports, a fork's copies count again.",
        "They count once.",
    )
    ANSWERING_MODEL = (
        "The model that answered gives the name and the price.",
        "The requested model does. The client counts like this.",
    )
    FAST_NAME = ("Fast mode is a model of its own: `NAME-fast`.", "Only its price differs.")
    LIFETIMES = (
        "Cache writes count as far as the transcript names their lifetime.",
        "All count. Those without a lifetime cost as much as for five minutes.",
    )
    SEARCHES = ("Web searches cost nothing.", "They cost a cent each.")
    GEOGRAPHY = ("Inference in the United States costs the same as elsewhere.", "It costs 1.1 times as much.")
    NO_PRICE = (
        "A model that is not in its price list costs nothing.",
        "Its tokens count as unpriced if no list has it.",
    )
    OTHER_PRICE = ("Its price list has another price.", "Prices are those that the client charges.")


@dataclass(frozen=True, slots=True)
class Request:
    """One answer of the API, or the side requests of a session to one model.

    Attributes:
        at_ns: when, Unix nanoseconds.
        session: the session.
        model: the model's name in reports.
        tokens: class of tokens → how many.
        cost: US dollars.
    """

    at_ns: int
    session: str
    model: str
    tokens: dict[str, int]
    cost: float


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of an answer."""

    file_session: str
    is_old_layout: bool
    record: dict[str, Any]

    @property
    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = self.record["message"]["usage"]
        return found

    @property
    def at_ns(self) -> int:
        return unix_nanoseconds(self.record["timestamp"])

    def tokens(self, *, with_lifetime: bool = False) -> dict[str, int]:
        """Return class of tokens → how many; of the cache writes, all or those with a lifetime."""
        usage = self.usage
        split = usage.get("cache_creation")
        written = usage.get("cache_creation_input_tokens") or 0
        long = min((split or {}).get("ephemeral_1h_input_tokens") or 0, written)
        short = (split.get("ephemeral_5m_input_tokens") or 0) if with_lifetime and split else written - long
        return {
            "input": usage["input_tokens"],
            "output": usage["output_tokens"],
            "cache_read": usage.get("cache_read_input_tokens") or 0,
            "cache_write_5m": short,
            "cache_write_1h": long,
        }


def read_lines(folders: Sequence[Path]) -> list[_Line]:
    """Return the lines of all answers, in the order of the files' names. The client's own messages are no answers."""
    found = []
    paths = {path for folder in folders for path in (folder / "projects").rglob("*.jsonl")}
    for path in sorted(paths, key=str):
        is_agent = path.parent.name == "subagents"
        session = path.parent.parent.name if is_agent else path.stem
        for line in path.read_bytes().splitlines():
            record = json.loads(line)
            if record["type"] == "assistant" and record["message"]["model"] != "<synthetic>":
                found.append(_Line(session, path.stem.startswith("agent-") and not is_agent, record))
    return found


def count(
    lines: Iterable[_Line], side_requests: Iterable[Request], rules: Collection[Rule], prices: Prices, *, is_daily: bool
) -> list[Request]:
    """Return the requests, counted by these rules.

    Args:
        lines: the lines of all answers.
        side_requests: requests that no transcript shows, from the store.
        rules: where to count as ccusage.
        prices: ccusage's prices.
        is_daily: whether to count as ``daily`` does, and not as the other reports.
    """
    answers: dict[tuple[str, ...], list[_Line]] = {}
    for line in lines:
        answers.setdefault(_key(line, rules, is_daily=is_daily), []).append(line)
    found = [] if Rule.SIDE_REQUESTS in rules else list(side_requests)
    return found + [_request(answer, rules, prices) for answer in answers.values()]


def _key(line: _Line, rules: Collection[Rule], *, is_daily: bool) -> tuple[str, ...]:
    record = line.record
    message_id, request_id = record["message"]["id"], record.get("requestId", "")
    if request_id or Rule.NO_REQUEST_ID not in rules:
        return message_id, request_id
    is_separate = is_daily and not record["isSidechain"]
    return (message_id, record["sessionId"], *[record["timestamp"]] * is_separate)


def _request(answer: Sequence[_Line], rules: Collection[Rule], prices: Prices) -> Request:
    chosen = max(answer, key=lambda line: sum(line.tokens(with_lifetime=True).values()))  # the first one of several
    counted = [chosen] if Rule.ONE_LINE in rules else answer
    each = [line.tokens(with_lifetime=Rule.LIFETIMES in rules) for line in counted]
    tokens = {kind: max(found[kind] for found in each) for kind in each[0]}
    return Request(
        at_ns=chosen.at_ns if Rule.LINE_TIME in rules else min(line.at_ns for line in answer),
        session=_session(answer, chosen, rules),
        model=_name(chosen, rules),
        tokens=_reported(tokens),
        cost=max(_cost(line, found, rules, prices) for line, found in zip(counted, each, strict=True)),
    )


def _session(answer: Sequence[_Line], chosen: _Line, rules: Collection[Rule]) -> str:
    paid = next((line.record["requestSessionId"] for line in answer if "requestSessionId" in line.record), None)
    if chosen.is_old_layout:
        return chosen.file_session if Rule.OLD_LAYOUT in rules else str(paid or chosen.record["sessionId"])
    return chosen.file_session if Rule.FIRST_FILE in rules else str(paid or chosen.record["sessionId"])


def _models(line: _Line) -> tuple[str, str]:
    """Return the requested model, and the one that answered."""
    answered = line.record["message"]["model"]
    return line.record.get("requestedModel", answered), answered


def _name(line: _Line, rules: Collection[Rule]) -> str:
    requested, answered = _models(line)
    name = answered if Rule.ANSWERING_MODEL in rules else requested
    return label(name) + ("-fast" if Rule.FAST_NAME in rules and line.usage.get("speed") == "fast" else "")


def label(name: str) -> str:
    """Return a model's name as reports of this project show it. The price list makes no difference between two spellings of it."""
    return normalize(name)


def _cost(line: _Line, tokens: dict[str, int], rules: Collection[Rule], prices: Prices) -> float:
    """Return US dollars."""
    usage = line.usage
    requested, answered = _models(line)
    model = answered if Rule.ANSWERING_MODEL in rules else requested
    is_fast = usage.get("speed") == "fast"
    rule = Rule.OTHER_PRICE if prices.has(answered) else Rule.NO_PRICE
    searches = 0 if Rule.SEARCHES in rules else (usage.get("server_tool_use") or {}).get("web_search_requests") or 0
    if rule in rules:
        return prices.cost(answered, is_fast=is_fast, tokens=tokens) + searches * 0.01
    cost = request_cost(
        TokenUsage(**tokens, web_searches=searches),
        model,
        answering_model=answered,
        timestamp_ns=line.at_ns,
        speed=usage.get("speed"),
        inference_geo=None if Rule.GEOGRAPHY in rules else usage.get("inference_geo"),
    )
    return (cost or 0) / DOLLAR


def _reported(tokens: dict[str, int]) -> dict[str, int]:
    return {
        "input": tokens["input"],
        "output": tokens["output"],
        "cache_read": tokens["cache_read"],
        "cache_write": tokens["cache_write_5m"] + tokens["cache_write_1h"],
    }


Cells = dict[tuple[str, ...], float]


def cells(
    requests: Iterable[Request], row: Callable[[Request], tuple[str, ...]], kinds: Mapping[str, str] = EACH_CLASS
) -> Cells:
    """Return (the row's names…, kind of tokens or "cost") → the sum, without the sums that are zero.

    Args:
        requests: what to add up.
        row: returns the names of a request's row.
        kinds: class of tokens → the kind that it adds to.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for request in requests:
        names = row(request)
        for kind, number in request.tokens.items():
            found[*names, kinds[kind]] += number
        found[*names, "cost"] += request.cost  # type: ignore[assignment]  # dollars
    return without_zeros(found)


def without_zeros(found: dict[tuple[str, ...], Any]) -> Cells:
    """Return the sums that are not zero, dollars without the errors of adding them up."""
    return {key: value for key, number in found.items() if (value := round(number, 9))}


def period(zone: str, form: str) -> Callable[[Request], str]:
    """Return a function that names a request's day or month in a time zone."""
    place = ZoneInfo(zone)
    return lambda request: datetime.fromtimestamp(request.at_ns // SECOND, UTC).astimezone(place).strftime(form)
