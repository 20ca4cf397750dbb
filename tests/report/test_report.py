"""``report`` shows complete numbers at the width of a usual terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import Config

NOW_NS = 1_795_000_000_000_000_000
OWNER = {"agent": "a-backend-agent-of-a-large-team", "project": "book-cataloger-service"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A store with large numbers and long names."""
    home = Home(tmp_path)
    core = assemble_core(home, Config(), lambda: NOW_NS)
    with core.store.transaction():
        for fact in (
            model.SessionRun(session_id="s", started_ns=NOW_NS, source="startup", **OWNER),
            model.ApiRequest(
                message_id="m", answer_id="", model="claude-sonnet-4-5-20250929", agent_type="general-purpose-reviewer", input_tokens=1_234_567,
                output_tokens=98_765, cache_read_tokens=999_999_999, cache_write_5m_tokens=43_210, cache_write_1h_tokens=0,
                cost=1234 * 10**12, **OWNER,
            ),
            model.FileChange(tool_use_id="t", path_digest="d", file_type="py", added=123_456, deleted=9_999, **OWNER),
            model.SuiteRun(tool_use_id="t", ordinal=0, framework="pytest", outcome="passed", passed=2269, **OWNER),
        ):  # fmt: skip
            core.facts.upsert(fact)
    core.store.close()
    return home


def report(home: Home, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from claude_hooks_otel.cli import main; main()", "report", *arguments],
        env={"PATH": os.environ["PATH"], HOME_VARIABLE: str(home.root), "COLUMNS": "80", "PYTHONUTF8": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_no_number_is_cut_at_eighty_columns(home: Home) -> None:
    """No line is longer. Names may be shortened, but never numbers."""
    text = report(home)
    for number in ("1,001.3M", "98.8k", "$1,234.00", "+123.5k", "−9,999", "2,269", "1,000.0M", "43.2k"):
        assert number in text, number
    for header in ("tokens out", "commits", "requests", "written"):
        assert header in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_json_report_has_the_exact_value_of_every_series(home: Home) -> None:
    found = {
        (point["name"], *sorted(point["labels"].items())): point["value"]
        for point in json.loads(report(home, "--json"))
    }
    assert (
        found["claude_lines_added_total", ("agent", OWNER["agent"]), ("file_type", "py"), ("project", OWNER["project"])]
        == 123_456
    )
    assert sum(value for key, value in found.items() if key[0] == "claude_tokens_input_total") == 1_001_277_776


def test_a_report_of_one_agent_has_no_numbers_of_others(home: Home) -> None:
    text = report(home, "--agent", "frontend")
    assert text.startswith(f"There is nothing of the agent frontend. The store has agents: {OWNER['agent']};")
