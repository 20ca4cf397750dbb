"""A threshold is announced once in its period, whatever happens to the daemon. A block begins and ends as its owner wants."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.daemon.budget_settings import BudgetSettings
from claude_hooks_otel.daemon.budgets import Budgets
from claude_hooks_otel.delivery.notifications import open_errors
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.statusline.given import Given
from claude_hooks_otel.report.statusline.template import parse_format, render
from claude_hooks_otel.settings import BudgetsConfig, Config, save
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.units import DAY, DOLLAR, HOUR, SECOND
from tests.support.real_daemon import wait_until
from tests.support.replay import Clock
from tests.support.webhook_receiver import WebhookReceiver

# A Wednesday.
NOW = round(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()) * SECOND
_numbers = itertools.count()


class Owner:
    """A home with a daemon's budgets, on a clock of its own."""

    def __init__(self, folder: Path, **budgets: Any) -> None:
        self.home, self.clock = Home(folder), Clock(NOW)
        self.core: Core = assemble_core(self.home, Config(), self.clock)
        self.configure(**budgets)
        self.start()

    def configure(self, **budgets: Any) -> None:
        self.config = BudgetsConfig.model_validate({"time_zone": "UTC", **budgets})
        save(self.home.config, Config(budgets=self.config))
        os.utime(self.home.config, ns=(NOW, NOW))  # two changes within one tick of the clock look like this

    def start(self) -> None:
        self.budgets = Budgets(self.home, self.core.store, self.core.totals, BudgetSettings(self.home, self.config, {}))

    def restart(self) -> None:
        self.budgets.close()
        self.start()

    def spend(self, dollars: float, agent: str = "backend") -> None:
        with self.core.store.transaction():
            self.core.facts.upsert(request(dollars, self.clock(), agent))

    def session(self, name: str, agent: str) -> None:
        with self.core.store.transaction():
            self.core.facts.upsert(
                model.Session(session_id=name, last_seen_ns=self.clock(), agent=agent, project="shop")
            )

    def notices(self) -> list[str]:
        """Return the notices, and delete them, as hooks do."""
        found = []
        for path in sorted(self.home.prompt.glob("*.notice")):
            found.append(path.read_text().strip())
            path.unlink()
        return found

    def blocks(self) -> list[str]:
        return sorted(path.name for path in self.home.prompt.glob("block*"))

    def close(self) -> None:
        self.budgets.close()
        self.core.store.close()


def request(dollars: float, at_ns: int, agent: str = "backend") -> model.ApiRequest:
    return model.ApiRequest(
        message_id=f"{os.getpid()}-{next(_numbers)}", answer_id="", model="m", agent_type="main", at_ns=at_ns, input_tokens=1,
        output_tokens=0, cost=round(dollars * DOLLAR), agent=agent, project="shop",
    )  # fmt: skip


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    owner = Owner(tmp_path / "home", day=10)
    yield owner
    owner.close()


def test_each_threshold_is_announced_once_in_a_period(owner: Owner) -> None:
    shown = []
    for dollars in (7, 1, 0.5, 1.4, 0.2, 5):
        owner.spend(dollars)
        for _ in range(2):
            owner.budgets.look()
            owner.restart()
            shown.append(owner.notices())
    assert [each[0].partition(".")[0] for each in shown if each] == [
        "Budget for today: 80% used: $8",
        "Budget for today: 100% used: $10",
    ]
    owner.clock.advance(12 * 3600)
    owner.spend(9)
    owner.budgets.look()
    assert owner.notices() == [
        "Budget for today: 80% used: $9.00 of $10.00 (90%). Forecast for the end of today: $33.10 (331%)."
    ]


def test_of_several_thresholds_only_the_highest_is_announced(owner: Owner) -> None:
    owner.spend(11)
    owner.budgets.look()
    assert len(owner.notices()) == 1
    owner.budgets.look()
    assert owner.notices() == []


def test_a_raised_limit_has_thresholds_of_its_own(owner: Owner) -> None:
    owner.spend(9)
    owner.budgets.look()
    assert len(owner.notices()) == 1
    owner.configure(day=100)
    assert owner.budgets.settings.refresh()
    owner.budgets.look()
    owner.spend(75)
    owner.budgets.look()
    assert owner.notices()[0].startswith("Budget for today: 80% used: $84.00 of $100.00")


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_notice_is_shown_once_if_the_daemon_dies_around_the_commit(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    owner.spend(9)
    with monkeypatch.context() as patch:
        if is_committed:
            patch.setattr(owner.core.store, "after_commit", lambda _: None)
            owner.budgets.look()
        else:
            patch.setattr(owner.core.store, "after_commit", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                owner.budgets.look()
    assert owner.notices() == []
    owner.restart()
    owner.budgets.look()
    assert len(owner.notices()) == 1
    owner.restart()
    owner.budgets.look()
    assert owner.notices() == []


def test_a_broken_configuration_changes_no_budget(owner: Owner) -> None:
    owner.home.config.write_text("[budgets]\nday = -1\n")
    assert not owner.budgets.settings.refresh()
    owner.spend(9)
    owner.budgets.look()
    assert len(owner.notices()) == 1


# -- the status line -------------------------------------------------------------------------------------------------------------


def test_the_status_line_shows_the_present_state_until_the_period_ends(owner: Owner) -> None:
    def shown() -> str:
        with contextlib.closing(Given({"session_id": "one"}, str(owner.home.root), owner.clock() / SECOND)) as given:
            return render(parse_format("[{budget}]"), given, colour=False)

    assert shown() == ""
    owner.configure(day=10, agent={"Backend": {"day": 2}, "frontend": {"day": 1}}, month=100)
    owner.budgets.settings.refresh()
    owner.session("one", "backend")
    owner.spend(1.5)
    owner.spend(5, "frontend")
    owner.budgets.look()
    assert shown() == "agent day 75%"
    before = owner.core.store.connection.total_changes
    owner.budgets.look()
    assert owner.core.store.connection.total_changes == before, "nothing is written while nothing changes"
    owner.spend(1)
    owner.budgets.look()
    assert shown() == "agent day 125%"
    owner.clock.advance(12 * 3600)
    assert shown() == "month 8%", "the day is over, and no daemon has looked since"
    owner.configure()
    owner.budgets.settings.refresh()
    owner.budgets.look()
    assert shown() == ""


# -- blocks ------------------------------------------------------------------------------------------------------------------


def test_nothing_is_blocked_unless_its_owner_says_so(owner: Owner) -> None:
    owner.spend(20)
    owner.budgets.look()
    assert owner.blocks() == []


def test_a_used_up_budget_blocks_until_its_period_ends(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "home", day=10, block=True)
    owner.spend(9)
    owner.budgets.look()
    assert owner.blocks() == []
    owner.spend(1)
    owner.budgets.look()
    assert owner.blocks() == ["block"]
    content = json.loads((owner.home.prompt / "block").read_text())
    assert content["decision"] == "block"
    assert "refused until 2026-11-26 00:00" in content["reason"]
    assert (owner.home.prompt / "block").stat().st_mtime_ns == NOW + 12 * HOUR
    owner.clock.advance(12 * 3600)
    owner.budgets.look()
    assert owner.blocks() == []
    owner.close()


def test_a_block_is_lifted_for_its_period(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "home", day=10, block=True)
    owner.spend(10)
    [state] = owner.budgets.look()
    owner.home.lifted.write_text(f"{state.key}\n")
    owner.budgets.look()
    assert owner.blocks() == []
    owner.clock.advance(24 * 3600)
    owner.spend(10)
    owner.budgets.look()
    assert owner.blocks() == ["block"]
    owner.close()


def test_a_block_ends_when_its_owner_raises_the_limit_or_takes_it_back(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "home", day=10, block=True)
    owner.spend(10)
    for budgets in ({"day": 11, "block": True}, {"day": 10}):
        owner.configure(day=10, block=True)
        owner.budgets.settings.refresh()
        owner.budgets.look()
        assert owner.blocks() == ["block"]
        owner.configure(**budgets)
        assert owner.budgets.settings.refresh()
        owner.budgets.look()
        assert owner.blocks() == []
    owner.close()


def test_the_budget_of_an_agent_blocks_its_sessions_only(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "home", agent={"backend": {"week": 5}}, block=True)
    owner.session("one", "backend")
    owner.session("two", "frontend")
    owner.spend(5)
    owner.spend(50, "frontend")
    owner.budgets.look()
    assert owner.blocks() == ["block.one"]
    owner.close()


def test_a_variable_turns_no_block_on(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "home", day=10)
    variables = {"CLAUDE_HOOKS_OTEL_BUDGETS__BLOCK": "true", "CLAUDE_HOOKS_BUDGETS__BLOCK": "true"}
    settings = BudgetSettings(owner.home, owner.config, variables)
    owner.configure(day=9)
    assert settings.refresh()
    assert not settings.config.block
    owner.close()


# -- webhooks ----------------------------------------------------------------------------------------------------------------


def test_a_failing_webhook_is_tried_again_and_its_address_is_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "claude_hooks_otel")
    with WebhookReceiver() as receiver:
        receiver.status = 503
        webhook = {"url": receiver.url, "headers": {"authorization": "Bearer secret-token"}}
        owner = Owner(tmp_path / "home", day=10, notify=["webhook"], webhook=webhook)
        owner.spend(9)
        owner.budgets.look()
        wait_until(lambda: "HTTP 503" in caplog.text)
        assert open_errors(owner.core.store.connection, NOW) == [("webhook", "waiting", "HTTP 503")]
        receiver.status = 200
        wait_until(lambda: len(receiver.got) == 2)
        wait_until(lambda: open_errors(owner.core.store.connection, NOW) == [])
        owner.restart()
        owner.budgets.look()
        owner.close()
    assert len({json.loads(body)["id"] for _, _, body in receiver.got}) == 1
    assert len(receiver.got) == 2
    assert "secret" not in caplog.text
    assert owner.notices() == []


def test_a_notification_that_is_out_of_date_is_not_sent(tmp_path: Path) -> None:
    with WebhookReceiver() as receiver:
        receiver.status = 503
        owner = Owner(tmp_path / "home", day=10, notify=["webhook"], webhook={"url": receiver.url})
        owner.spend(9)
        owner.budgets.look()
        wait_until(lambda: receiver.got)
        owner.budgets.close()
        owner.clock.advance(24 * 3600)
        receiver.got.clear()
        owner.start()
        states = "SELECT state FROM notification"
        wait_until(lambda: owner.core.store.connection.execute(states).fetchall() == [("expired",)])
        assert receiver.got == []
        owner.close()


def daemon(home: Home) -> subprocess.Popen[bytes]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home.root.parent), "CLAUDE_HOOKS_OTEL_HOME": str(home.root)}
    return subprocess.Popen([sys.executable, "-m", "claude_hooks_otel.daemon"], env=environ)


def test_a_daemon_that_is_killed_again_and_again_announces_a_threshold_once(tmp_path: Path) -> None:
    """Each daemon is killed a little later after its start than the one before."""
    home = Home(tmp_path / "home")
    home.create()
    now_ns = time.time_ns()
    core = assemble_core(home, Config(), lambda: now_ns - DAY)
    with core.store.transaction():
        core.facts.upsert(request(9, now_ns))
    core.store.close()
    with WebhookReceiver() as receiver:
        webhook = {"url": receiver.url}
        budgets = {"month": 10, "notify": ["webhook", "message"], "webhook": webhook, "time_zone": "UTC"}
        save(home.config, Config.model_validate({"budgets": budgets, "daemon": {"idle_timeout_seconds": 60}}))
        first = daemon(home)
        wait_until(lambda: receiver.got or first.poll() is not None)
        first.kill()
        first.wait()
        for number in range(6):
            process = daemon(home)
            wait_until(lambda: home.pid.exists() and home.pid.read_text().strip() == str(process.pid))  # noqa: B023
            time.sleep(number / 10)
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert len(receiver.got) == 1
    assert len(list(home.prompt.glob("*.notice"))) == 1
    assert "secret" not in home.log.read_text()


def test_a_try_whose_end_is_unknown_is_not_repeated(tmp_path: Path) -> None:
    """The daemon was killed after the receiver got the notification, and before it could note that."""
    with WebhookReceiver() as receiver:
        owner = Owner(tmp_path / "home", day=10, notify=["webhook"], webhook={"url": receiver.url})
        owner.spend(9)
        owner.budgets.look()
        wait_until(lambda: receiver.got)
        owner.budgets.close()
        with owner.core.store.transaction():
            owner.core.store.connection.execute("UPDATE notification SET state = 'trying'")
        owner.start()
        owner.spend(1)  # another threshold, so that the worker surely works
        owner.budgets.look()
        wait_until(lambda: len(receiver.got) == 2)
        owner.close()
        states = owner_states(tmp_path)
    assert states == {"80": "unknown", "100": "sent"}


def owner_states(folder: Path) -> dict[str, str]:
    with contextlib.closing(connect(folder / "home" / "store.db", readonly=True)) as store:
        return {name.rpartition("/")[2]: state for name, state in store.execute("SELECT id, state FROM notification")}
