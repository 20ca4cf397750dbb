"""`doctor --prometheus` checks the chain up to Prometheus: with data, without data, and without a server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, run_checks
from claude_hooks_otel.diagnosis.prometheus import CHECKS
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import load
from monitoring.expressions import CARRIED, CARRY_EVERY
from monitoring.rig.local import HASTE, LOOPBACK, Ports
from monitoring.rig.stack import Stack
from tests.support.real_daemon import Installation
from tests.support.stack.team import Machine, arrived, final_totals


def look(home: Home, folder: Path, url: str | None) -> list[Finding]:
    environ = {HOME_VARIABLE: str(home.root), "HOME": str(folder)}
    return list(run_checks(CHECKS, Surroundings(environ, folder, (), url)))


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with closing(Installation(tmp_path, {})) as made:
        yield made


def test_without_an_address_doctor_asks_nothing(installation: Installation, tmp_path: Path) -> None:
    assert look(installation.home, tmp_path, None) == []


def test_an_unreachable_prometheus_is_a_failure(installation: Installation, tmp_path: Path) -> None:
    (finding,) = look(installation.home, tmp_path, f"http://{LOOPBACK}:{Ports.free().prometheus}")
    assert finding.level is Level.FAIL
    assert "refused" in finding.observed


def test_a_file_is_not_a_prometheus(installation: Installation, tmp_path: Path) -> None:
    (finding,) = look(installation.home, tmp_path, "file:///etc/hostname")
    assert finding.level is Level.FAIL


def test_the_configuration_may_hold_the_address(installation: Installation, tmp_path: Path) -> None:
    installation.home.config.write_text('[monitoring]\nprometheus_url = "ftp://nowhere"\n')
    assert load(installation.home.config, {}).monitoring.prometheus_url == "ftp://nowhere"
    (finding,) = look(installation.home, tmp_path, None)
    assert "ftp://nowhere" in finding.observed


class Answers(BaseHTTPRequestHandler):
    """A server with Prometheus's answers: ``rules`` is what it lists, and ``carried`` what its query for carried totals finds."""

    rules: ClassVar[list[dict[str, str]] | None] = None
    carried: ClassVar[bool] = False

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/api/v1/rules"):
            found: Any = None if self.rules is None else {"data": {"groups": [{"rules": self.rules}]}}
        else:
            values = [{"value": [0, "3"]}] if "carried" not in self.path or self.carried else []
            found = {"data": {"result": values}}
        body = json.dumps(found).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


RULE = {"name": "claude_sessions_total:carried", "health": "ok"}


@pytest.mark.parametrize(
    ("rules", "carried", "told"),
    [
        ([RULE], False, None),  # loaded, and nothing recorded yet
        ([RULE | {"health": "unknown"}], False, None),  # loaded a moment ago
        ([RULE | {"health": "err", "lastError": "many-to-many"}], True, "fails: many-to-many"),
        ([{"name": "another", "health": "ok"}], False, "no rule carries totals forward"),
        ([], True, None),  # another server records them
        (None, True, None),  # this server has no list of rules
        (None, False, "no rule carries totals forward"),
    ],
)
def test_doctor_looks_at_the_list_of_rules_and_else_at_recorded_totals(
    installation: Installation, tmp_path: Path, rules: list[dict[str, str]] | None, carried: bool, told: str | None
) -> None:
    answers = type("Chosen", (Answers,), {"rules": rules, "carried": carried})
    with ThreadingHTTPServer((LOOPBACK, 0), answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        arrival, *others = look(installation.home, tmp_path, f"http://{LOOPBACK}:{server.server_address[1]}")
        server.shutdown()
    assert arrival.level is Level.OK
    assert [finding.level for finding in others] == ([Level.WARN] if told else [])
    assert told is None or told in others[0].observed


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("servers")
def test_doctor_compares_the_sessions_at_a_real_prometheus_with_the_store(tmp_path: Path) -> None:
    with Stack(tmp_path / "stack", HASTE) as stack:
        machine = Machine(tmp_path / "machine", stack.through_the_collector)
        with closing(machine.installation):
            (nothing,) = look(machine.installation.home, tmp_path, stack.url)
            assert nothing.level is Level.WARN
            assert "no series of this installation" in nothing.observed
            machine.installation.start()
            machine.play("basic-edit")
            arrived(stack, final_totals([machine]))
            (found,) = look(machine.installation.home, tmp_path, stack.url)
            assert found.level is Level.OK
            assert "1 sessions there, 1 here" in found.observed


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("servers")
def test_doctor_misses_only_rules_that_are_not_loaded(tmp_path: Path) -> None:
    """The shipped rules record every 15 minutes. A new Prometheus has loaded them, but they have recorded nothing yet."""
    with Stack(tmp_path / "stack", replace(HASTE, carry=CARRY_EVERY)) as stack:
        machine = Machine(tmp_path / "machine", stack.through_the_collector)
        with closing(machine.installation):
            machine.installation.start()
            machine.play("basic-edit")
            arrived(stack, final_totals([machine]))
            assert not stack.instant(f'{{__name__=~".+{CARRIED}", instance="{machine.instance}"}}')
            assert [finding.level for finding in look(machine.installation.home, tmp_path, stack.url)] == [Level.OK]

            rules = tmp_path / "stack" / "rules" / "claude-totals.yml"
            shipped = rules.read_text()
            rules.write_text(shipped.replace("record: claude_", "record: other_"))
            stack.reload()
            found, missing = look(machine.installation.home, tmp_path, stack.url)
            assert (found.level, missing.level) == (Level.OK, Level.WARN)
            assert "no rule carries totals forward" in missing.observed


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("servers")
def test_doctor_accepts_totals_that_were_recorded_minutes_ago_by_rules_of_another_server(tmp_path: Path) -> None:
    """Prometheus forgets a series in an instant query after five minutes, and the rules record every 15."""
    stack = Stack(tmp_path / "stack", HASTE)
    now = time.time()
    series = 'claude_sessions_total:carried{agent="a",project="p",source="startup",instance="i",job="j"}'
    (tmp_path / "samples.txt").write_text(f"{series} 3 {now - 840:.3f}\n# EOF\n")
    stack.backfill(tmp_path / "samples.txt")
    (tmp_path / "stack" / "rules" / "claude-totals.yml").unlink()
    with closing(Installation(tmp_path / "machine", {})) as made, stack:
        assert not stack.instant("claude_sessions_total:carried")
        findings = look(made.home, tmp_path, stack.url)
        assert [finding.step for finding in findings] == ["prometheus"]
