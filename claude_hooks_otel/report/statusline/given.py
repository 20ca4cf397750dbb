"""What a status line is made of: the client's input, and what the store knows."""

from __future__ import annotations

import json
import os
import sqlite3
import time

from claude_hooks_otel.sources.status_input import config_folder

TYPE_CHECKING = False  # as in ``typing``, whose import takes longer than the whole line
if TYPE_CHECKING:
    from collections.abc import Mapping

# The metric whose sums of half hours make the cost of a day (``metrics.catalog.COST``), their length in seconds
# (``series.aggregates.BUCKET``), and picodollars per dollar (``units.DOLLAR``). Importing those modules takes longer than the whole line.
COST = "claude.api.cost.usd"
BUCKET_SECONDS = 1800
DOLLAR = 1_000_000_000_000
# Seconds to wait for a lock of the store. A reader needs none, unless a program has locked the whole file.
BUSY_TIMEOUT = 0.02
# Bytes of the client's input. A real one has about 2,000.
MOST_INPUT = 4 << 20
_HALF_HOURS = 50  # a day has at most 25 hours
# Of several that are used equally, the one that ends first is shown.
_BUDGET = """
    SELECT b.scope, b.period, 100.0 * b.used / b.allowed AS percent, b.unpriced_tokens
    FROM budget_state b LEFT JOIN session s ON s.session_id = ?
    WHERE b.begin_ns <= ? AND b.ends_ns > ?
        AND CASE b.scope WHEN 'all' THEN 1 WHEN 'agent' THEN b.name = s.agent WHEN 'project' THEN b.name = s.project ELSE b.name = s.team END
    ORDER BY percent DESC, b.ends_ns, b.scope LIMIT 1
"""


class Given:
    """The client's input and the store.

    Args:
        status: the input, parsed; an empty object if it cannot be read.
        home: the folder with the store; None if there is none that may be read.
        now: seconds since the epoch.
    """

    def __init__(self, status: dict[str, object], home: str | None, now: float) -> None:
        self.status = status
        self.home = home
        self.now = now
        self._connection: sqlite3.Connection | None = None

    def value(self, *path: str) -> object:
        """Return a value of the input by its path; None if it is not there."""
        value: object = self.status
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def text(self, *path: str) -> str | None:
        """Return a text of the input without control characters, at most 200 characters; None if it is not there or empty."""
        value = self.value(*path)
        if not isinstance(value, str):
            return None
        return "".join(sign for sign in value[:200] if sign.isprintable()) or None

    def number(self, *path: str) -> float | None:
        """Return a number of the input; None if it is not there, not finite, or absurd."""
        return as_number(self.value(*path))

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Return the rows of a query to the store; none if it is missing, locked, damaged or of an older version.

        Args:
            statement: an SQL statement that only reads.
            values: its parameters.
        """
        if self.home is None:
            return []
        try:
            if self._connection is None:
                path = f"{self.home}/store.db".replace("%", "%25").replace("?", "%3f").replace("#", "%23")
                self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            self.home = None  # no other field has to wait for it again
            return []

    def close(self) -> None:
        """Close the store."""
        if self._connection is not None:
            self._connection.close()

    def day_cost(self) -> float | None:
        """Return the cost of today's requests of all sessions, in dollars, as ``report today`` has it; None without a store."""
        date = time.localtime(self.now)
        midnight = time.mktime((date.tm_year, date.tm_mon, date.tm_mday, 0, 0, 0, 0, 0, -1))
        first, last = -int(-midnight // BUCKET_SECONDS), int(self.now // BUCKET_SECONDS)
        buckets = range(first, min(last + 1, first + _HALF_HOURS))
        marks = ",".join("?" * len(buckets))
        # With every half hour by its number, the key of the table leads to the few rows.
        rows = self.query(f"SELECT SUM(value) FROM aggregate WHERE metric = ? AND bucket IN ({marks})", COST, *buckets)  # noqa: S608
        return float(rows[0][0] or 0) / DOLLAR if rows else None  # type: ignore[arg-type]

    def limit(self, window: str) -> tuple[float, float] | None:
        """Return how much of a limit is used, percent, and when it begins again, seconds since the epoch; None if nobody knows.

        The input has it after the first answer of a session. Other sessions of the same configuration folder may know it earlier or better:
        the limit is the account's.

        Args:
            window: ``five_hour`` or ``seven_day``.
        """
        used, resets = (
            self.number("rate_limits", window, "used_percentage"),
            self.number("rate_limits", window, "resets_at"),
        )
        rows = self.query(
            "SELECT used_basis_points, resets_ns FROM limit_reading WHERE config_folder = ? AND limit_window = ? AND resets_ns > ?"
            " ORDER BY at_ns DESC LIMIT 1",
            config_folder(self.text("transcript_path")), window, int(self.now * 1e9),
        )  # fmt: skip
        found = [(resets, used)] if used is not None and resets is not None and resets > self.now else []
        found += [(int(when) / 1e9, int(points) / 100) for points, when in rows]  # type: ignore[call-overload]
        if not found:
            return None
        resets, used = max(found)  # of one window, the greater share is the later one
        return used, resets

    def budget(self) -> tuple[str, float, bool] | None:
        """Return the budget that is used most, of those that this session counts in; None without one, or if its period is over.

        The result is its name, such as ``month`` or ``agent day``, the used share, percent, and whether tokens without a price are
        missing in it.
        """
        rows = self.query(_BUDGET, self.text("session_id"), int(self.now * 1e9), int(self.now * 1e9))
        for scope, period, percent, unpriced in rows:
            return (f"{period}" if scope == "all" else f"{scope} {period}"), float(percent), bool(unpriced)  # type: ignore[arg-type]
        return None


def as_number(value: object) -> float | None:
    """Return a value as a number; None if it is no number, not finite, or absurd."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and -1e15 < value < 1e15
    return float(value) if is_number else None  # type: ignore[arg-type]


def parse(content: bytes) -> dict[str, object]:
    """Return the client's input as an object; an empty one if it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def trusted_home(environ: Mapping[str, str]) -> str | None:
    """Return the home if it belongs to this user, and if it is the usual one or one that ``install`` has recorded there; otherwise None.

    A project can set the session's variables. So no other folder is read or written (``home.paths.Home.is_trusted``).
    """
    if not (user := environ.get("HOME")):
        return None
    usual = f"{user}/.local/state/claude-hooks-otel"
    state = environ.get("XDG_STATE_HOME")
    home = environ.get("CLAUDE_HOOKS_OTEL_HOME") or (f"{state}/claude-hooks-otel" if state else usual)
    try:
        if os.stat(home).st_uid != os.geteuid():  # noqa: PTH116 — pathlib takes longer than the whole line
            return None
        if home != usual:
            with open(f"{usual}/homes", encoding="utf-8") as file:  # noqa: PTH123
                if os.fstat(file.fileno()).st_uid != os.geteuid() or home not in file.read(1_000_000).splitlines():
                    return None
    except (OSError, ValueError):
        return None
    return home
