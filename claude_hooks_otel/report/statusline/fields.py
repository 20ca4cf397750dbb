"""The fields of a status line. Another part adds one by a function and a row of FIELDS; a field that reads the store uses ``Given.query``."""

from __future__ import annotations

from claude_hooks_otel.formats import duration
from claude_hooks_otel.formats import percent as format_percent

TYPE_CHECKING = False  # as in ``typing``, whose import takes longer than the whole line
if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_hooks_otel.report.statusline.given import Given

    # A field's text, and the number that its colour depends on. None if it is unknown.
    Shown = tuple[str, float | None] | None


def _context(given: Given) -> Shown:
    percent = given.number("context_window", "used_percentage")
    if percent is None:  # before the first answer, and from an old client
        tokens, size = _tokens(given), given.number("context_window", "context_window_size")
        percent = 100 * tokens / size if tokens is not None and size else None
    return None if percent is None else (format_percent(percent), percent)


def _tokens(given: Given) -> float | None:
    """Return the tokens in the context: the input of the last answer, with what came from the cache."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    found = [given.number("context_window", "current_usage", name) for name in names]
    return None if found[0] is None else sum(number or 0 for number in found)


def _count(tokens: float | None) -> Shown:
    if tokens is None:
        return None
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}", tokens
    return f"{tokens:.0f}", tokens


def _dollars(amount: float | None) -> Shown:
    return None if amount is None else (f"${amount:,.2f}", amount)


def _plain(*path: str) -> Callable[[Given], Shown]:
    def field(given: Given) -> Shown:
        text = given.text(*path)
        return None if text is None else (text, None)

    return field


def _lines(name: str, sign: str) -> Callable[[Given], Shown]:
    def field(given: Given) -> Shown:
        lines = given.number("cost", name)
        return None if lines is None else (f"{sign}{lines:,.0f}", lines)

    return field


def _folder(*path: str) -> Callable[[Given], Shown]:
    def field(given: Given) -> Shown:
        text = given.text(*path)
        return None if text is None else (text.rstrip("/").rpartition("/")[2] or "/", None)

    return field


def _used(window: str) -> Callable[[Given], Shown]:
    def field(given: Given) -> Shown:
        limit = given.limit(window)
        return None if limit is None else (format_percent(limit[0]), limit[0])

    return field


def _resets(window: str) -> Callable[[Given], Shown]:
    def field(given: Given) -> Shown:
        limit = given.limit(window)
        return None if limit is None else (duration(limit[1] - given.now), None)

    return field


def _model(given: Given) -> Shown:
    text = given.text("model", "display_name") or given.text("model", "id")
    return None if text is None else (text, None)


def _took(given: Given) -> Shown:
    milliseconds = given.number("cost", "total_duration_ms")
    return None if milliseconds is None else (duration(milliseconds / 1000), milliseconds / 1000)


def _budget(given: Given) -> Shown:
    found = given.budget()
    if found is None:
        return None
    name, percent, is_incomplete = found
    return f"{name} {'>' if is_incomplete else ''}{format_percent(percent)}", percent


_SHARE = (50.0, 80.0)

# Name → its text, the thresholds from which on it is yellow and red, and its meaning for docs/statusline.md.
FIELDS: dict[str, tuple[Callable[[Given], Shown], tuple[float, float] | None, str]] = {
    "model": (_model, None, "the model's name, such as `Opus 4.5`"),
    "model_id": (_plain("model", "id"), None, "the model's id"),
    "context": (_context, _SHARE, "how full the context window is, percent"),
    "context_tokens": (lambda given: _count(_tokens(given)), None, "the tokens in the context window"),
    "context_size": (
        lambda given: _count(given.number("context_window", "context_window_size")),
        None,
        "the size of the context window, tokens",
    ),
    "session_cost": (
        lambda given: _dollars(given.number("cost", "total_cost_usd")),
        None,
        "the cost of this session, as the client counts it",
    ),
    "day_cost": (
        lambda given: _dollars(given.day_cost()),
        None,
        "the cost of today's requests of all sessions, as `report today` has it",
    ),
    "budget": (
        _budget,
        (80.0, 100.0),
        "the [budget](budgets.md) that is used most, of those that the session counts in, such as `month 62%` or `agent day 84%`",
    ),
    "five_hour": (_used("five_hour"), _SHARE, "how much of the five-hour limit is used, percent"),
    "five_hour_resets": (_resets("five_hour"), None, "the time until the five-hour limit begins again"),
    "week": (_used("seven_day"), _SHARE, "how much of the weekly limit is used, percent"),
    "week_resets": (_resets("seven_day"), None, "the time until the weekly limit begins again"),
    "lines_added": (
        _lines("total_lines_added", "+"),
        None,
        "the lines that the session added, as the client counts them",
    ),
    "lines_removed": (_lines("total_lines_removed", "-"), None, "the lines that it removed"),
    "duration": (_took, None, "how long the session has been open"),
    "project": (_folder("workspace", "project_dir"), None, "the name of the project's folder"),
    "directory": (_folder("workspace", "current_dir"), None, "the name of the current folder"),
    "session_name": (_plain("session_name"), None, "the session's name, if it has one"),
    "session": (_plain("session_id"), None, "the session's id"),
    "effort": (_plain("effort", "level"), None, "the effort level"),
    "version": (_plain("version"), None, "the version of the client"),
}
