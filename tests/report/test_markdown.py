"""Markdown: names from outside stay text, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from claude_hooks_otel.report.markdown import LONGEST, plain, table
from tests.report.conftest import Cli


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("feature/cart-2.0", "feature/cart-2.0"),
        ("a|b", r"a\|b"),
        ("a\\", "a\\\\"),
        ("`x` *y* _z_ ~q~", r"\`x\` \*y\* \_z\_ \~q\~"),
        ("<img src=x>&lt;", r"\<img src=x\>\&lt;"),
        ("[link](https://x.example)", r"\[link\]\(https\://x.example\)"),
        ("www.x.example @ann #1 $x$", r"www\.x.example \@ann \#1 \$x\$"),
        ("one\r\ntwo\u2028three\x1b[0m\u202efour", "one two three \\[0m four"),
        ("::set-output name=x::1\n::error::no", "::set-output name=x::1 ::error::no"),
    ],
)
def test_signs_of_markdown_are_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_long_text_is_shortened() -> None:
    assert plain("x" * 500) == "x" * (LONGEST - 1) + "…"


def test_a_table_has_one_line_for_each_row() -> None:
    lines = list(table(["branch"], ["cost"], [["a|b\n| c |", "$1.00"]]))
    assert lines == ["| branch | cost |", "|---|---:|", r"| a\|b \| c \| | $1.00 |"]


def test_one_session_as_markdown_has_its_cost_its_work_and_its_models(cli: Cli, tmp_path: Path) -> None:
    cli("import")
    session = json.loads(cli("sessions", "--json").output)["sessions"][0]
    figures = json.loads(cli("sessions", session["session_id"], "--json").output)["figures"]
    assert figures["cost_usd"] == pytest.approx(session["cost"])
    assert figures["requests"] == session["requests"]
    assert sum(figures[f"{name}_tokens"] for name in ("input", "cache_read", "cache_write")) == session["tokens_in"]
    assert figures["duration_seconds"] == (session["seen_ns"] - session["began_ns"]) / 1e9
    text = cli("sessions", session["session_id"], "--markdown").output
    assert text.startswith(f"### Claude Code: ${session['cost']:,.4f}, ")
    assert f"| requests | {session['requests']} |" in text
    assert "| model | used by | requests | input | read | written | output | cost |" in text
    rows = [line for line in text.splitlines() if line.startswith("| sonnet-4-5 |")]
    assert sum(int(row.split(" | ")[2]) for row in rows) == session["requests"]


def test_the_list_as_markdown_is_a_table(cli: Cli) -> None:
    cli("import")
    lines = cli("sessions", "--markdown").output.splitlines()
    assert lines[0].startswith("| session | began | agent | project |")
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert "One of --json, --csv and --markdown is expected." in cli("sessions", "--csv", "--markdown", code=1).stderr
