"""The alert ClaudeAgentSilent on a real Prometheus: it fires only if a session was open when the data stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitoring.alerts import ALERTS
from monitoring.rig.local import HASTE
from monitoring.rig.stack import Stack
from tests.support.real_daemon import wait_until
from tests.support.stack.team import Machine, arrived, final_totals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def stack(tmp_path: Path, servers: None) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", HASTE) as running:
        yield running


def active(stack: Stack, machine: Machine) -> list[float]:
    return list(stack.instant(f'sum(claude_sessions_active{{instance="{machine.instance}"}})').values())


def firing(stack: Stack) -> set[str]:
    """Return the instances for which the alert fires."""
    alerts = stack.ask("alerts")["alerts"]
    return {
        alert["labels"]["instance"]
        for alert in alerts
        if alert["labels"]["alertname"] == "ClaudeAgentSilent" and alert["state"] == "firing"
    }


def test_a_machine_that_goes_away_is_silent_only_if_a_session_was_open(stack: Stack, tmp_path: Path) -> None:
    # `claude -p` in a container that is removed afterwards, and a machine that disappears while somebody works.
    ended, cut = (Machine(tmp_path / name, stack.through_the_collector) for name in ("ended", "cut"))
    with closing(ended.installation), closing(cut.installation):
        for machine in (ended, cut):
            machine.installation.start()
        ended.play("basic-edit")
        cut.play("basic-edit", without="SessionEnd")
        arrived(stack, final_totals([ended, cut]))
        wait_until(lambda: active(stack, ended) == [0.0] and sum(active(stack, cut)) >= 1)
        for machine in (ended, cut):
            machine.installation.kill(signal.SIGKILL)
        wait_until(lambda: active(stack, ended) == active(stack, cut) == [])
        wait_until(lambda: firing(stack))
        assert firing(stack) == {cut.instance}
        (alert,) = [alert for alert in ALERTS if alert.name == "ClaudeAgentSilent"]
        requests, *_ = alert.expr.split(" and ")
        assert {dict(labels)["instance"] for labels in stack.instant(requests)} == {ended.instance, cut.instance}
        assert {dict(labels)["instance"] for labels in stack.instant(alert.expr)} == {cut.instance}
