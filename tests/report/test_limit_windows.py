"""``limits`` shows what the status line last said about the limits, above the blocks from history."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import HOUR, MINUTE, SECOND
from tests.report.conftest import Cli

FOLDER = "/home/dev/.claude"


def note(home: Home, window: str, percent: float, resets_ns: int, at_ns: int, folder: str = FOLDER) -> None:
    with closing(connect(home.store)) as store:
        store.execute(
            "INSERT INTO limit_reading (config_folder, limit_window, resets_ns, used_basis_points, at_ns) VALUES (?, ?, ?, ?, ?)",
            (folder, window, resets_ns, round(percent * 100), at_ns),
        )


def test_the_newest_report_of_each_limit_is_shown(cli: Cli, home: Home) -> None:
    cli("import")
    now = time.time_ns()
    note(home, "five_hour", 30, now + 200 * MINUTE + 30 * SECOND, now - HOUR)
    note(home, "five_hour", 42.2, now + 200 * MINUTE + 30 * SECOND, now - 5 * MINUTE)
    note(home, "seven_day", 7, now + 90 * HOUR + MINUTE, now - 5 * MINUTE)
    note(home, "seven_day", 99, now - HOUR, now - 2 * HOUR)
    text = re.sub(r"5m \d+s", "5m", cli("limits").output)
    assert "Five-hour limit: 42% used, resets in 3h 20m. The status line said so 5m ago." in text
    assert "Weekly limit: 7% used, resets in 3d 18h. The status line said so 5m ago." in text
    assert "99" not in text.partition("requests")[0]
    windows = json.loads(cli("limits", "--json").output)["windows"]
    assert [(window["window"], window["used_percent"]) for window in windows] == [
        ("five_hour", 42.2),
        ("seven_day", 7.0),
    ]


def test_two_accounts_are_named(cli: Cli, home: Home) -> None:
    cli("import")
    now = time.time_ns()
    note(home, "five_hour", 10, now + HOUR, now)
    note(home, "five_hour", 20, now + HOUR, now, folder="/home/dev/work")
    text = cli("limits").output
    assert f"Five-hour limit of {FOLDER}: 10%" in text
    assert "Five-hour limit of /home/dev/work: 20%" in text


def test_without_a_status_line_there_are_only_blocks(cli: Cli, home: Home) -> None:
    cli("import")
    with closing(connect(home.store)) as store:
        store.execute("DROP TABLE limit_reading")  # a store of an older version
    assert "status line" not in cli("limits").output
    assert json.loads(cli("limits", "--json").output)["windows"] == []
