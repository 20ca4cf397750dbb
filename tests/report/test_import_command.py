"""``import`` as a user runs it, and the report of what it read."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from claude_hooks_otel.cli.report_range import print_range
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.breakdown import Breakdown, Figures
from claude_hooks_otel.report.ranges import parse_range
from tests.report.conftest import Cli
from tests.support.corpus import Scenario

EVERYTHING = parse_range(None, since=None, until=None, last=None, zone="UTC", now_ns=0)


def test_an_import_reads_everything_once(cli: Cli, home: Home) -> None:
    first = cli("import").output
    assert first.startswith("Read ")
    assert "2026-11" in first
    assert " were known already." in cli("import").output.splitlines()[0]


def test_a_dry_run_changes_nothing(cli: Cli, home: Home) -> None:
    assert cli("import", "--dry-run").output.startswith("Would read ")
    assert not home.root.exists()


def test_the_result_is_printed_as_json(cli: Cli) -> None:
    found = json.loads(cli("import", "--json").output)
    assert found["version"] == 1
    assert found["sessions"] > 0
    assert found["bytes_read"] > 0


def test_other_folders_can_be_named(cli: Cli, tmp_path: Path) -> None:
    Scenario("tasks").write_transcripts(tmp_path / "other" / "projects")
    before = json.loads(cli("import", "--json").output)["sessions"]
    both = json.loads(
        cli(
            "import", "--json", "--config-dir", str(tmp_path / ".claude"), "--config-dir", str(tmp_path / "other")
        ).output
    )
    assert both["known"] == before
    assert both["sessions"] > 0


def test_a_folder_without_transcripts_is_named(cli: Cli, tmp_path: Path) -> None:
    message = cli("import", "--config-dir", str(tmp_path / "nothing"), code=1).stderr
    assert f"There are no transcripts in {tmp_path}/nothing. Name the folder with --config-dir." in message


def test_older_sessions_are_left_out(cli: Cli) -> None:
    assert "There are no transcripts" in cli("import", "--since", "2100-01-01", code=1).stderr
    assert "a date or a time is expected" in cli("import", "--since", "soon", code=1).stderr


def test_every_form_of_a_range_has_the_same_figures(cli: Cli, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    cli("import")
    capsys.readouterr()
    print_range(home, EVERYTHING, by=("model",), form="json")
    as_json = json.loads(capsys.readouterr().out)
    print_range(home, EVERYTHING, by=("model",), form="csv")
    as_csv = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    print_range(home, EVERYTHING, by=("model",), form="markdown")
    as_markdown = capsys.readouterr().out.splitlines()
    assert [row["model"] for row in as_json["rows"]] == [row["model"] for row in as_csv]
    assert [row["cost_usd"] for row in as_json["rows"]] == [float(row["cost_usd"]) for row in as_csv]
    assert sum(row["cost_usd"] for row in as_json["rows"]) == pytest.approx(as_json["total"]["cost_usd"])
    assert len(as_markdown) == 2 + len(as_json["rows"]) + 1
    assert as_json["version"] == 1


def test_the_rows_are_sorted_and_cut_and_the_total_stays(
    cli: Cli, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("import")
    capsys.readouterr()
    print_range(home, EVERYTHING, by=("model",), form="json", sort="requests", top=1)
    found = json.loads(capsys.readouterr().out)
    assert len(found["rows"]) == 1
    assert found["total"]["requests"] > found["rows"][0]["requests"]


def test_rows_that_do_not_add_up_are_an_error(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli("import")
    wrong = Breakdown(("model",), {("m",): Figures({"cost_usd": 1})}, Figures({"cost_usd": 3}))
    monkeypatch.setattr("claude_hooks_otel.cli.report_range.read_breakdown", lambda *_, **__: wrong)
    with pytest.raises(Exception, match="3"):
        print_range(home, EVERYTHING, by=("model",))
    assert "do not add up to the total: {'cost_usd': 2}" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_table_fits_the_terminal(
    cli: Cli, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    cli("import")
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", str(columns))
    print_range(home, EVERYTHING, by=("agent-type",))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert all(line == line.rstrip() for line in lines)
    assert lines[0].split()[:2] == ["agent-type", "cost"]


def test_install_names_the_import_where_there_is_history(cli: Cli, tmp_path: Path) -> None:
    assert "Run `claude-hooks-otel import`" in cli("install").output
    shutil.rmtree(tmp_path / ".claude" / "projects")
    assert "claude-hooks-otel import" not in cli("install").output


def test_a_report_without_a_range_names_imported_history(cli: Cli) -> None:
    cli("import")
    found = cli("report").output
    assert found.startswith("note: Only imported sessions are known.")
    assert "total" in found


def test_a_report_of_a_range_has_imported_history(cli: Cli) -> None:
    cli("import")
    days = json.loads(cli("report", "all", "--by", "day", "--tz", "UTC", "--json").output)
    whole = json.loads(cli("report", "--since", "2026-01-01", "--by", "model,agent-type", "--json").output)
    assert (days["command"], days["ok"], days["by"]) == ("report", True, ["day"])
    assert [row["day"][:7] for row in days["rows"]] == ["2026-11"] * len(days["rows"])
    assert whole["total"]["output_tokens"] == days["total"]["output_tokens"] > 0
    assert {"model", "agent-type", "cost_usd"} <= set(whole["rows"][0])
    assert "Nothing happened in this range." in cli("report", "--until", "2020-01-01").output


def test_a_report_counts_only_what_its_filters_let_through(cli: Cli) -> None:
    cli("import")

    def tokens(*arguments: str) -> float:
        return float(json.loads(cli("report", "--json", *arguments).output)["total"].get("output_tokens", 0))

    whole = tokens("all")
    main, others = tokens("--only", "agent-type=main"), tokens("--only", "agent-type=general-purpose")
    assert 0 < main < whole
    assert tokens("--only", "agent-type=main", "--only", "agent-type=general-purpose") == main + others
    assert tokens("all", "--project", "nobody") == 0


def test_a_report_as_markdown_ends_with_the_total(cli: Cli) -> None:
    cli("import")
    assert cli("report", "--markdown", "--by", "model").output.splitlines()[-1].startswith("| total |")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("soon",), "one of today, yesterday, week, month, all is expected"),
        (("today", "--last", "7d"), "a range is one of"),
        (("--by", "colour"), "There is no group 'colour'"),
        (("--by", "day", "--by", "day"), "--by takes one group, or two different ones"),
        (("--by", "day,model,agent"), "--by takes one group, or two different ones"),
        (("--only", "model"), "NAME=VALUE is expected"),
        (("--only", "colour=red"), "There is no group 'colour'"),
        (("--sort", "beauty"), "There is no column 'beauty'"),
        (("--tz", "Mars/Olympus"), "a time zone is expected"),
        (("--csv", "--markdown"), "One of --json, --csv and --markdown is expected"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_would(
    cli: Cli, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in " ".join(cli("report", *arguments, code=1).stderr.split())
