"""What ``top`` shows, and what its keys change. Nothing here knows the terminal or the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

from rich.text import Text

from claude_hooks_otel.formats import dollars, duration, percent
from claude_hooks_otel.report.grid import Grid
from claude_hooks_otel.report.live import LiveSession, State, urgency
from claude_hooks_otel.units import DOLLAR, SECOND

# The beginning of a session's id that is shown, as git shows commits.
ID_LENGTH: Final = 8
# The columns that a narrow terminal leaves out, in this order.
DISPENSABLE: Final = ("started", "sub-agents", "session", "model", "project", "context", "tool", "cost", "agent")
# The first cells of a row, which have names. The filter searches them.
_NAMES: Final = 6
# How rows look. The state is also a word, so colours are not needed to read it.
_STYLES: Final = {State.WAITING: "bold yellow", State.TOOL: "green", State.THINKING: "cyan", State.IDLE: "dim"}
# Lines around the rows: the title, the headers, their rule, the keys. A terminal with fewer than _LOW lines shows no headers and notes.
_FRAME, _LOW = 4, 8

_SORTS: Final[dict[str, Callable[[LiveSession], Any]]] = {
    "state": urgency,
    "time": lambda live: live.state_since_ns,
    "cost": lambda live: -(live.cost or 0),
    "context": lambda live: -(live.context_percent or 0),
    "agent": lambda live: live.agent or "",
    "project": lambda live: live.project or "",
    "start": lambda live: -live.started_ns,
}


@dataclass(slots=True)
class View:
    """What a person has chosen with keys.

    Attributes:
        sort: how the sessions are sorted: a name in ``_SORTS``.
        is_reversed: whether the last one comes first.
        filter: only sessions with this text are shown.
        is_typing: whether keys write the filter.
        selected: the id of the selected session; empty for the first one.
        opened: the id of the session whose timeline is shown; empty for the list.
        scroll: how many lines the timeline is scrolled up from its end.
        is_over: whether ``top`` ends.
    """

    sort: str = "state"
    is_reversed: bool = False
    filter: str = ""
    is_typing: bool = False
    selected: str = ""
    opened: str = ""
    scroll: int = 0
    is_over: bool = False

    def shown(self, sessions: Sequence[LiveSession]) -> list[LiveSession]:
        """Return the sessions that pass the filter, sorted."""
        wanted = self.filter.casefold()
        found = [
            live for live in sessions if wanted in " ".join([*_cells(live, 0)[:_NAMES], live.session_id]).casefold()
        ]
        return sorted(found, key=_SORTS[self.sort], reverse=self.is_reversed)

    def press(self, key: str, sessions: Sequence[LiveSession], page: int) -> None:
        """Do what a key asks for.

        Args:
            key: as ``cli.keyboard`` names it.
            sessions: the sessions that run.
            page: lines of a page.
        """
        if key == "end of input":
            self.is_over = True
        elif self.is_typing:
            self._type(key)
        elif key == "q":
            self.is_over = True
        elif self.opened:
            self._scroll(key, page)
        else:
            self._choose(key, self.shown(sessions), page)

    def _type(self, key: str) -> None:
        if key == "enter":
            self.is_typing = False
        elif key == "escape":
            self.is_typing, self.filter = False, ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1:
            self.filter += key

    def _scroll(self, key: str, page: int) -> None:
        if key in ("escape", "enter", "backspace"):
            self.opened = ""
        steps = {
            "up": 1,
            "k": 1,
            "down": -1,
            "j": -1,
            "page up": page,
            "page down": -page,
            "end": -self.scroll,
            "G": -self.scroll,
        }
        if key in ("home", "g"):
            self.scroll = 1 << 30
        self.scroll = max(0, self.scroll + steps.get(key, 0))

    def _choose(self, key: str, shown: Sequence[LiveSession], page: int) -> None:
        names = list(_SORTS)
        if key == "s":
            self.sort = names[(names.index(self.sort) + 1) % len(names)]
        elif key == "r":
            self.is_reversed = not self.is_reversed
        elif key == "/":
            self.is_typing = True
        elif key == "escape":
            self.filter = ""
        elif shown:
            steps = {
                "up": -1,
                "k": -1,
                "down": 1,
                "j": 1,
                "page up": -page,
                "page down": page,
                "home": -len(shown),
                "end": len(shown),
            }
            place = min(max(self.place(shown) + steps.get(key, 0), 0), len(shown) - 1)
            self.selected = shown[place].session_id
            if key == "enter":
                self.opened, self.scroll = self.selected, 0

    def place(self, shown: Sequence[LiveSession]) -> int:
        """Return the place of the selected session; 0 if it is not shown."""
        return next((place for place, live in enumerate(shown) if live.session_id == self.selected), 0)


def table(sessions: Sequence[LiveSession], now_ns: int) -> Grid:
    """Return the sessions as a table, each with what it does and for how long."""
    grid = Grid(
        "",
        ["state", "tool", "agent", "project", "model", "session"],
        ["for", "context", "cost", "sub-agents", "started"],
    )
    grid.rows += [_cells(live, now_ns) for live in sessions]
    return grid


def _cells(live: LiveSession, now_ns: int) -> list[str]:
    more = f" and {live.tools_running - 1} more" if live.state == State.TOOL and live.tools_running > 1 else ""
    state = "compacting" if live.is_compacting and live.state == State.THINKING else str(live.state)
    return [
        state, (live.tool or "–") + more, live.agent or "–", live.project or "–", (live.model or "–").removeprefix("claude-"),
        live.session_id[:ID_LENGTH], duration((now_ns - live.state_since_ns) // SECOND),
        percent(live.context_percent),
        "–" if live.cost is None else dollars(live.cost / DOLLAR), str(live.subagents_running or "–"), duration((now_ns - live.started_ns) // SECOND),
    ]  # fmt: skip


def list_screen(
    view: View, sessions: Sequence[LiveSession], now_ns: int, size: tuple[int, int], notes: Sequence[str]
) -> Iterator[Text]:
    """Yield the lines of the list.

    Args:
        view: what the person has chosen.
        sessions: the sessions that run.
        now_ns: the time, Unix nanoseconds.
        size: columns and lines of the terminal.
        notes: sentences above the table.
    """
    width, height = size
    shown = view.shown(sessions)
    notes = [line for note in notes for line in wrap(note, width)] if height >= _LOW or not sessions else []
    yield Text(_fitting(_title(sessions, shown), width, " · "), style="bold")
    yield from (Text(note, style="yellow") for note in notes)
    headers, rows = _body(table(shown, now_ns), width, len(shown))
    headers = headers if height >= _LOW else []
    yield from (Text(line, style="bold") for line in headers)
    if not sessions and not notes:
        yield Text("No session runs. Start one with `claude`.")
    elif sessions and not shown:
        yield Text(f"No running session contains “{view.filter}”.")
    room = max(1, height - 2 - len(headers) - len(notes))
    place = view.place(shown)
    first = min(max(0, place - room // 2), max(0, len(rows) - room))
    for number, line in list(enumerate(rows))[first : first + room]:
        style = _STYLES[shown[number].state] + (" reverse" if number == place else "")
        yield Text(line.ljust(width) if number == place else line, style=style)
    for _ in range(room - max(len(rows), 1)):
        yield Text()
    yield _keys(view, width)


def _body(grid: Grid, width: int, count: int) -> tuple[list[str], list[str]]:
    """Return the headers and one line for each row, also in a terminal that is too narrow for columns."""
    lines = list(grid.narrowed(width, DISPENSABLE).lines(width))
    if len(lines) == count + 2:
        return lines[:2], lines[2:]
    return [], [" ".join((row[0], row[_NAMES]))[:width] for row in grid.rows]


def _title(sessions: Sequence[LiveSession], shown: Sequence[LiveSession]) -> list[str]:
    states = Counter(live.state for live in sessions)
    parts = [f"{len(sessions)} {'session' if len(sessions) == 1 else 'sessions'}"]
    parts += [f"{states[state]} {'in a tool' if state == State.TOOL else state}" for state in State if states[state]]
    if costs := [live.cost for live in sessions if live.cost is not None]:
        parts.append(dollars(sum(costs) / DOLLAR))
    if len(shown) != len(sessions):
        parts.append(f"{len(shown)} shown")
    return parts


def _keys(view: View, width: int) -> Text:
    if view.is_typing:
        return Text(f"filter: {view.filter}▏ (Enter keeps it, Esc drops it)"[:width])
    order = f"{view.sort}{' reversed' if view.is_reversed else ''}"
    kept = f" “{view.filter}”" if view.filter else ""
    words = ["q quit", f"s sort: {order}", f"/ filter{kept}", "Enter open", "↑↓ select", "r reverse"]
    return Text(_fitting(words, width), style="dim")


def timeline_screen(title: str, lines: Sequence[str], view: View, size: tuple[int, int]) -> Iterator[Text]:
    """Yield the lines of one session's timeline, its end first of all. ``lines`` begin with the headers and their rule."""
    width, height = size
    headers, rows = lines[:2], lines[2:]
    room = max(1, height - _FRAME)
    view.scroll = min(view.scroll, max(0, len(rows) - room))
    behind = len(rows) - view.scroll
    yield Text(title[:width], style="bold")
    yield from (Text(line, style="bold") for line in headers)
    visible = rows[max(0, behind - room) : behind]
    yield from map(Text, visible)
    yield from (Text() for _ in range(room - len(visible)))
    below = f"{view.scroll} more below" if view.scroll else "the end"
    yield Text(_fitting(["q quit", "Esc back", below, "↑↓ scroll", "g first", "G last"], width), style="dim")


def _fitting(words: Sequence[str], width: int, between: str = "  ") -> str:
    """Return the words that fit into a line. A later one may fit where an earlier one does not."""
    line = ""
    for word in words:
        longer = f"{line}{between}{word}" if line else word
        if len(longer) <= width:
            line = longer
    return line
