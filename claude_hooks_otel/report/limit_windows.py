"""The limits of the Claude subscription, as the client's status line last reported them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# The client's name of a limit → its name for people.
NAMES: Final = {"five_hour": "Five-hour limit", "seven_day": "Weekly limit", "spend_limit": "Spend limit"}


@dataclass(frozen=True, slots=True)
class LimitWindow:
    """A limit that has not begun again.

    Attributes:
        config_folder: the configuration folder of the client, which stands for the account; empty if it is unknown.
        window: the client's name of the limit.
        used_percent: how much is used.
        resets_ns: when it begins again, Unix nanoseconds.
        at_ns: when a status line said so, Unix nanoseconds.
    """

    config_folder: str
    window: str
    used_percent: float
    resets_ns: int
    at_ns: int

    @property
    def name(self) -> str:
        """The name for people."""
        return NAMES.get(self.window, f"Limit {self.window}")


def read_windows(connection: sqlite3.Connection, now_ns: int) -> Iterator[LimitWindow]:
    """Yield the newest reading of each limit that has not begun again at a time, Unix nanoseconds; none from a store of an older version.

    Raises:
        sqlite3.Error: the store cannot be read.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'limit_reading'").fetchone():
        return
    rows = connection.execute(  # of a group, SQLite takes the other columns from the row with the maximum
        "SELECT config_folder, limit_window, used_basis_points, resets_ns, MAX(at_ns) FROM limit_reading WHERE resets_ns > ?"
        " GROUP BY config_folder, limit_window",
        (now_ns,),
    )
    found = [
        LimitWindow(folder, window, used / 100, resets_ns, at_ns) for folder, window, used, resets_ns, at_ns in rows
    ]
    yield from sorted(found, key=lambda each: (each.config_folder, each.resets_ns))
