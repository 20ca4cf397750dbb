"""`doctor --prometheus` checks the chain up to Prometheus: with data, without data, and without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, run_checks
from claude_hooks_otel.diagnosis.prometheus import CHECKS
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.settings import load
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
