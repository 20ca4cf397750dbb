"""`doctor --prometheus` follows the chain to its far end: a real Prometheus that has the data, has it not, or is not there."""

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


def test_without_an_address_nothing_is_asked(installation: Installation, tmp_path: Path) -> None:
    assert look(installation.home, tmp_path, None) == []


def test_a_prometheus_that_is_not_there_is_a_broken_link(installation: Installation, tmp_path: Path) -> None:
    (finding,) = look(installation.home, tmp_path, f"http://{LOOPBACK}:{Ports.free().prometheus}")
    assert finding.level is Level.FAIL
    assert "refused" in finding.observed


def test_a_file_is_no_prometheus(installation: Installation, tmp_path: Path) -> None:
    (finding,) = look(installation.home, tmp_path, "file:///etc/hostname")
    assert finding.level is Level.FAIL


def test_the_address_may_stand_in_the_configuration(installation: Installation, tmp_path: Path) -> None:
    installation.home.config.write_text('[monitoring]\nprometheus_url = "ftp://nowhere"\n')
    assert load(installation.home.config, {}).monitoring.prometheus_url == "ftp://nowhere"
    (finding,) = look(installation.home, tmp_path, None)
    assert "ftp://nowhere" in finding.observed


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.usefixtures("servers")
def test_a_real_prometheus_is_asked_for_this_installations_totals(tmp_path: Path) -> None:
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
