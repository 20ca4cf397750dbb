"""``export`` as a user runs it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Account
from tests.support.corpus import Scenario


@pytest.fixture
def imported(account: Account) -> Account:
    """An account whose history was imported."""
    Scenario("tasks").write_transcripts(account.root / ".claude" / "projects")
    account.ok("import")
    return account


def failure(account: Account, *arguments: str, code: int = 1) -> str:
    result = account.run(*arguments)
    assert result.exit_code == code, (result.output, result.stderr)
    return result.stderr


def families(text: str) -> set[str]:
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def test_a_file_has_the_history_and_the_sentence_says_how_to_load_it(imported: Account) -> None:
    output = imported.ok("export", "openmetrics", "history.txt")
    path = Path("history.txt")
    assert "claude_api_cost_usd" in families(path.read_text(encoding="utf-8"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "create-blocks-from openmetrics --max-block-duration=480h history.txt" in output
    assert '-history"' in output
    assert [each.name for each in Path().iterdir()] == ["history.txt"]


def test_standard_output_has_only_the_text(imported: Account) -> None:
    result = imported.run("export", "openmetrics", "-")
    assert result.exit_code == 0
    assert result.stdout.endswith("# EOF\n")
    assert families(result.stdout)
    assert "Wrote " in result.stderr


def test_json_says_what_was_written(imported: Account) -> None:
    found = json.loads(imported.ok("export", "openmetrics", "history.txt", "--json"))
    text = Path("history.txt").read_text(encoding="utf-8")
    assert found["samples"] == sum(not line.startswith("#") for line in text.splitlines())
    assert found["bytes"] == len(text.encode())
    assert f'instance="{found["instance"]}"' in text


def test_a_range_has_its_own_instance(imported: Account) -> None:
    arguments = ("--since", "2020-01-01T00:00+00:00", "--until", "2090-01-01T12:00+00:00", "--json")
    found = json.loads(imported.ok("export", "openmetrics", "history.txt", *arguments))
    assert found["instance"].endswith("-history-from-20200101T0000Z-until-20900101T1200Z")


def test_without_history_no_file_is_written_and_the_next_step_is_named(account: Account) -> None:
    assert "claude-hooks-otel import" in failure(account, "export", "openmetrics", "history.txt")
    account.use()
    assert "There is no imported history." in failure(account, "export", "openmetrics", "history.txt")
    assert list(Path().iterdir()) == []


def test_an_empty_range_leaves_an_earlier_file_as_it_is(imported: Account) -> None:
    Path("history.txt").write_text("earlier")
    message = failure(imported, "export", "openmetrics", "history.txt", "--until", "2001-01-01")
    assert "There is no imported history in this range." in message
    assert Path("history.txt").read_text() == "earlier"


def test_everything_includes_what_hooks_have_captured(imported: Account) -> None:
    imported.use()
    imported.turn()
    imported.ok("flush")
    instances = {}
    for name, arguments in (("history", ()), ("everything", ("--everything",))):
        found = json.loads(imported.ok("export", "openmetrics", f"{name}.txt", "--json", *arguments))
        instances[name] = found["instance"], found["too_new"]
    assert instances["everything"][1] > instances["history"][1] == 0  # what was captured a moment ago is too new
    failure(imported, "export", "openmetrics", "x.txt", "--everything", "--since", "2026-01-01", code=2)


def test_a_file_that_cannot_be_written_is_named(imported: Account) -> None:
    assert "none/history.txt cannot be written" in failure(imported, "export", "openmetrics", "none/history.txt")


def configure(account: Account, text: str) -> None:
    account.home.config.write_text(text)


def test_measurements_go_to_every_custom_exporter_once(imported: Account) -> None:
    path = imported.root / "lines.jsonl"
    configure(imported, f'[exporters.json_lines]\npath = "{path}"\n[exporters.prometheus]\nport = 0\n')
    assert "json_lines: accepted " in (output := imported.ok("export", "measurements"))
    assert "prometheus: shows current totals" in output
    lines = path.read_text(encoding="utf-8")
    assert "json_lines: has all of history already." in imported.ok("export", "measurements", "json_lines")
    imported.ok("import")
    imported.ok("export", "measurements")
    assert path.read_text(encoding="utf-8") == lines
    path.unlink()
    found = json.loads(imported.ok("export", "measurements", "json_lines", "--again", "--json"))
    assert found["exporters"] == [{"name": "json_lines", "sent": len(lines.splitlines()), "error": None}]
    assert path.read_text(encoding="utf-8") == lines


def test_an_exporter_that_accepts_nothing_is_named_with_its_reason(imported: Account) -> None:
    configure(imported, '[exporters.json_lines]\npath = "/dev/null/nowhere.jsonl"\n')
    message = failure(imported, "export", "measurements")
    assert "json_lines: FileExistsError" in message
    assert "Run the command again to go on." in message
    result = imported.run("export", "measurements", "--json")
    assert json.loads(result.stdout)["ok"] is False


def test_an_exporter_that_is_not_configured_is_named(imported: Account) -> None:
    assert "There is no custom exporter in " in failure(imported, "export", "measurements")
    configure(imported, '[exporters.json_lines]\npath = "x"\n')
    assert "There is no [exporters.postgresql] in " in failure(imported, "export", "measurements", "postgresql")


def test_a_mistake_in_the_configuration_is_named(imported: Account) -> None:
    configure(imported, "[exporters.json_lines]\n")
    assert "error: [exporters.json_lines]: JsonLines cannot be made" in failure(imported, "export", "measurements")
    configure(imported, "[nonsense]\n")
    assert "nonsense" in failure(imported, "export", "openmetrics", "history.txt")
