"""What a page is asked for: the range and the filters, as they are in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from claude_hooks_otel.report.ranges import Range, RangeError, nanoseconds, parse_range, range_before
from claude_hooks_otel.units import END_OF_TIME, HOUR

# What is shown if the address names no range.
DEFAULT_LAST: Final = "30d"
# The ranges that a click chooses: their titles, and their part of the address.
PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "Today": {"range": "today"},
    "7 days": {"last": "7d"},
    "30 days": {"last": "30d"},
    "This month": {"range": "month"},
    "All": {"range": "all"},
}
# The groups that the page filters by.
FILTERS: Final = ("agent", "project", "model", "team", "sprint", "agent-type", "tool")
_RANGE: Final = ("range", "last", "since", "until", "tz")
# Up to this length a range is shown by hour.
_HOURLY: Final = 48 * HOUR

Parameters = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A range and filters.

    Attributes:
        within: the range.
        before: the range before it, to compare with; None if there is none.
        only: name of a group → the values that count.
        parameters: the range and the filters as they are in the address.
        now_ns: the time, Unix nanoseconds.
    """

    within: Range
    before: Range | None
    only: Mapping[str, Sequence[str]]
    parameters: Parameters
    now_ns: int

    @classmethod
    def of(cls, given: Iterable[tuple[str, str]], now_ns: int) -> Question:
        """Return the question of an address.

        Args:
            given: its parameters. Those of other meaning and empty ones count for nothing.
            now_ns: the time, Unix nanoseconds.

        Raises:
            RangeError: the range makes no sense.
        """
        kept = [(name, value) for name, value in given if value and name in (*_RANGE, *FILTERS)]
        asked = {name: value for name, value in kept if name in _RANGE}
        last = asked.get("last")
        if not any(name in asked for name in ("range", "last", "since", "until")):
            last = DEFAULT_LAST
        try:
            within = parse_range(
                asked.get("range"),
                since=asked.get("since"),
                until=asked.get("until"),
                last=last,
                zone=asked.get("tz"),
                now_ns=now_ns,
            )
            before = range_before(within, now_ns)
            within.local(within.since_ns)
        except (OverflowError, OSError):
            raise RangeError("the range is beyond the years that count") from None
        only: dict[str, list[str]] = {}
        for name, value in kept:
            if name in FILTERS:
                only.setdefault(name, []).append(value)
        return cls(within, before, only, tuple(kept), now_ns)

    @property
    def step(self) -> str:
        """The group of time in which the range is shown: ``hour`` or ``day``."""
        return "hour" if min(self.within.until_ns, self.now_ns) - self.within.since_ns <= _HOURLY else "day"

    @property
    def preset(self) -> str | None:
        """The title of the preset that was chosen; None for another range."""
        chosen = {name: value for name, value in self.parameters if name in _RANGE and name != "tz"}
        wanted = chosen or {"last": DEFAULT_LAST}
        return next((title for title, part in PRESETS.items() if dict(part) == wanted), None)

    @property
    def title(self) -> str:
        """The range, for people."""
        if (preset := self.preset) is not None:
            return {"All": "All time", "7 days": "Last 7 days", "30 days": "Last 30 days"}.get(preset, preset)
        first = self.within.local(self.within.since_ns)
        if self.within.until_ns == END_OF_TIME:
            return f"Since {first:%Y-%m-%d %H:%M}"
        last = self.within.local(self.within.until_ns)
        if first.hour == first.minute == last.hour == last.minute == 0:
            end = last - timedelta(days=1)
            return f"{first:%Y-%m-%d}" if first.date() == end.date() else f"{first:%Y-%m-%d} to {end:%Y-%m-%d}"
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"

    def url(self, path: str, **more: str) -> str:
        """Return an address with this range and these filters.

        Args:
            path: the page.
            more: further parameters. They replace those of the same name.
        """
        return address(path, [*((name, value) for name, value in self.parameters if name not in more), *more.items()])

    def url_of(self, path: str, groups: Mapping[str, str]) -> str:
        """Return an address with these filters and further groups, which may be groups of time."""
        kept = [(name, value) for name, value in self.parameters if name not in groups]
        for name, value in groups.items():
            if name in ("hour", "day"):
                kept = [(other, text) for other, text in kept if other not in ("range", "last", "since", "until")]
                kept += self._moment(name, value)
            else:
                kept.append((name, value))
        return address(path, kept)

    def _moment(self, step: str, value: str) -> list[tuple[str, str]]:
        """Return the part of this range that is in one hour or day."""
        begin = datetime.fromisoformat(value).replace(tzinfo=self.within.zone)
        end = begin + (timedelta(hours=1) if step == "hour" else timedelta(days=1))
        is_whole = nanoseconds(begin) >= self.within.since_ns and nanoseconds(end) <= self.within.until_ns
        if step == "day" and is_whole:
            return [("since", value), ("until", value)]
        first = max(nanoseconds(begin), self.within.since_ns)
        last = min(nanoseconds(end), self.within.until_ns)
        return [("since", self._text(first)), ("until", self._text(last))]

    def _text(self, at_ns: int) -> str:
        return self.within.local(at_ns).isoformat(timespec="seconds")

    def without(self, path: str, name: str, value: str) -> str:
        """Return the address without one filter."""
        return address(path, [each for each in self.parameters if each != (name, value)])


def address(path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return a path with parameters."""
    query = urlencode(list(parameters))
    return f"{path}?{query}" if query else path


def session_path(session_id: str) -> str:
    """Return the page of a session."""
    return f"/sessions/{quote(session_id, safe='')}"
