"""The labels that the configuration chooses: where they come from, and on which signals they are."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel import foreign_files
from claude_hooks_otel.daemon.history import HistoryImport, find_transcripts
from claude_hooks_otel.facts import chosen_labels, model
from claude_hooks_otel.facts.chosen_labels import BRANCH_KEPT_FOR, KEPT_FOR, ChosenLabels
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.report.breakdown import read_breakdown
from claude_hooks_otel.report.ranges import parse_range
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.settings import Config, IdentityConfig, LabelsConfig
from claude_hooks_otel.traces.codec import decode
from claude_hooks_otel.units import END_OF_TIME, SECOND
from tests.support.corpus import Scenario
from tests.support.replay import Replay

ACCOUNT, ORGANIZATION = "5f0c6a52-8d5e-4a53-9b71-0a6f6f4c1d11", "0e7d7f0a-0c5e-4be1-8f5e-2f6d3c9b7a22"
LATER = 1_900_000_000 * SECOND
EVERYTHING = parse_range(None, since=None, until=None, last=None, zone="UTC", now_ns=LATER)


def labels(
    folder: Path, *, headers: dict[str, str] | None = None, given: dict[str, str] | None = None, **more: Any
) -> Any:
    """Return the chosen labels, all of them on metrics."""
    chosen = LabelsConfig(metrics=("user", "machine", "branch", "organization"), **more)
    config = Config(labels=chosen, identity=IdentityConfig(**(given or {})))
    return ChosenLabels(config, folder).of(headers or {}, None)


def repository(folder: Path, branch: str = "main") -> Path:
    folder.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q", "-b", branch, str(folder)], check=True)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".gitconfig").write_text('[user]\n\tname = "Ann Lee"\n\temail = Ann@Example.com ; work\n')
    account = {"accountUuid": ACCOUNT, "organizationUuid": ORGANIZATION, "emailAddress": "ann@example.com"}
    (tmp_path / ".claude.json").write_text(json.dumps({"oauthAccount": account}))
    return tmp_path


@pytest.mark.parametrize(
    ("source", "user"),
    [("git-email", "ann@example.com"), ("git-name", "ann-lee"), ("account", ACCOUNT), ("variable", None)],
)
def test_the_user_comes_from_where_the_owner_says(folder: Path, source: str, user: str | None) -> None:
    assert labels(folder, user=source)["user"] == user


def test_organization_and_machine_come_from_the_client_and_the_host(folder: Path) -> None:
    found = labels(folder)
    assert found["organization"] == ORGANIZATION
    assert found["machine"] == socket.gethostname().partition(".")[0].lower()


def test_given_names_come_first(folder: Path) -> None:
    found = labels(folder, given={"user": "Bob", "machine": "build 7"}, headers={"user": "eve"}, user="variable")
    assert (found["user"], found["machine"]) == ("bob", "build-7")


def test_a_variable_of_the_session_counts_only_if_the_owner_says_so(folder: Path) -> None:
    assert labels(folder, headers={"user": "Eve"}, user="variable")["user"] == "eve"
    assert labels(folder, headers={"user": "Eve"}, user="git-email")["user"] == "ann@example.com"


def test_a_salt_hides_the_user_and_different_spellings_stay_one_user(folder: Path) -> None:
    first = labels(folder, user="git-email", user_salt="of the team")["user"]
    assert len(first) == 16
    assert int(first, 16)
    assert labels(folder, given={"user": " ann@example.COM"}, user_salt="of the team")["user"] == first
    assert labels(folder, user="git-email", user_salt="of another team")["user"] != first
    assert "of the team" not in repr(Config(labels=LabelsConfig(user_salt="of the team")))


def test_the_configuration_of_a_repository_does_not_choose_the_user(folder: Path) -> None:
    shop = repository(folder / "shop")
    (shop / ".git" / "config").write_text("[user]\nemail = eve@example.com\nname = Eve\n")
    chosen = ChosenLabels(Config(labels=LabelsConfig(metrics=("user",), user="git-email")), folder)
    assert chosen.of({}, str(shop))["user"] == "ann@example.com"


def test_an_included_file_of_the_user_counts(tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[include]\npath = ~/own/git\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "git").write_text("[user]\nemail = ann@example.com\n[include]\npath = git\n")
    assert labels(tmp_path, user="git-email")["user"] == "ann@example.com"
    assert labels(tmp_path, user="git-name")["user"] is None  # the file includes itself


@pytest.mark.parametrize("content", ["", "{", "[]", '{"oauthAccount": 7}', '{"oauthAccount": {"accountUuid": "../x"}}'])
def test_an_account_that_cannot_be_read_gives_no_label(tmp_path: Path, content: str) -> None:
    (tmp_path / ".claude.json").write_text(content)
    (tmp_path / ".gitconfig").write_bytes(b"\xff = [")
    assert labels(tmp_path)["user"] is None
    assert labels(tmp_path, user="git-email")["user"] is None


def test_nothing_is_looked_up_if_nothing_is_chosen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_labels, "in_time", pytest.fail)
    assert ChosenLabels(Config(), folder).of({"user": "eve"}, str(folder)) == {}


def test_files_of_the_user_are_read_once_a_minute_and_a_hanging_one_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    config = Config(labels=LabelsConfig(metrics=("user",), user="git-email"))
    chosen = ChosenLabels(config, folder, lambda: now[0])
    assert chosen.of({}, None)["user"] == "ann@example.com"
    (folder / ".gitconfig").write_text("[user]\nemail = bob@example.com\n")
    assert chosen.of({}, None)["user"] == "ann@example.com"
    now[0] += KEPT_FOR + 1
    monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 0.0)
    assert chosen.of({}, None)["user"] == "ann@example.com"
    now[0] += KEPT_FOR + 1
    monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 30.0)
    while foreign_files._hanging:
        foreign_files.in_time("elsewhere", lambda: None, None)
    assert chosen.of({}, None)["user"] == "bob@example.com"


def test_the_branch_is_the_one_that_is_checked_out(tmp_path: Path) -> None:
    shop, now = repository(tmp_path / "shop", "feature/Log-in"), [0.0]
    chosen = ChosenLabels(Config(labels=LabelsConfig(spans=("branch",))), tmp_path, lambda: now[0])
    assert chosen.of({}, str(shop))["branch"] == "~feature-log-in"  # on no metric
    (shop / ".git" / "HEAD").write_text("3b18e512dba79e4c8300dd08aeb37f8e728b8dad\n")
    now[0] += BRANCH_KEPT_FOR + 1
    assert chosen.of({}, str(shop))["branch"] is None
    assert chosen.of({}, str(tmp_path / "gone"))["branch"] is None


def test_a_fact_counts_for_one_identity_even_if_labels_are_chosen_later() -> None:
    first = model.Task(session_id="s", task_id="1", created_ns=1, **Identity("a", "p").columns())
    later = model.Task(session_id="s", task_id="1", completed_ns=2, **Identity("a", "p", user="ann").columns())
    assert first.merged(later).labels() == (("agent", "a"), ("project", "p"))
    unknown = model.Task(session_id="s", task_id="1", completed_ns=2)
    assert unknown.merged(later).user == "ann"


# -- on which signals ------------------------------------------------------------------------------------------------------------

SIGNALS = LabelsConfig(metrics=("user", "machine"), spans=("user", "branch"), logs=("machine",), user="variable")
GIVEN = IdentityConfig(user="Ann", machine="m1")


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    """A recorded scenario on a branch, with labels on all signals."""
    monkeypatch.setattr(chosen_labels, "current_branch", lambda _: "topic")
    wanted = {"traces": ["test"], "logs": ["test"]}
    replay = Replay(Scenario("tasks"), tmp_path, config=Config(labels=SIGNALS, identity=GIVEN), wanted=wanted)
    replay.spool(replay.hooks)
    replay.write_transcripts()
    replay.finish()
    return replay


def test_each_signal_has_the_labels_that_are_chosen_for_it(played: Replay) -> None:
    chosen = {"user", "machine", "branch", "organization"}
    for point in played.core.totals.points():
        if point.metric.common:
            assert {k: v for k, v in point.labels if k in chosen} == {"user": "ann", "machine": "m1"}, point
    rows = played.core.store.connection.execute("SELECT signal, body FROM outbox").fetchall()
    attributes: dict[str, set[tuple[str, Any]]] = {"traces": set(), "logs": set()}
    for signal, body in rows:
        named = {f"claude.{name}" for name in chosen}
        attributes[signal] |= {(k, v) for k, v in decode(body).attributes.items() if k in named}
    assert attributes == {
        "traces": {("claude.user", "ann"), ("claude.branch", "topic")},
        "logs": {("claude.machine", "m1")},
    }


def test_reports_by_user_and_machine_add_up(played: Replay) -> None:
    connection = played.core.store.connection
    whole = read_breakdown(connection, EVERYTHING).total.amounts
    found = read_breakdown(connection, EVERYTHING, by=("user", "machine"))
    assert found.differences() == {}
    assert set(found.rows) == {("ann", "m1")}
    assert found.total.amounts == whole
    assert read_breakdown(connection, EVERYTHING, only={"user": ["Ann"]}).total.amounts == whole
    assert not read_breakdown(connection, EVERYTHING, only={"user": ["bob"]}).total.amounts


def test_a_turn_counts_for_the_branch_on_which_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(range(10_000))
    monkeypatch.setattr(chosen_labels, "current_branch", lambda _: f"b{next(looks)}")
    monkeypatch.setattr(chosen_labels, "BRANCH_KEPT_FOR", -1.0)
    config = Config(labels=LabelsConfig(metrics=("branch",)))
    replay = Replay(Scenario("tasks"), tmp_path, config=config)
    replay.spool(replay.hooks)
    replay.write_transcripts()
    replay.finish()
    turns = {turn.prompt_id: turn.branch_label for turn in replay.core.facts.select(model.Turn)}
    calls = {
        (call.prompt_id, call.branch_label)
        for call in replay.core.facts.select(model.ToolCall, "prompt_id IS NOT NULL")
    }
    assert calls
    assert calls <= set(turns.items())


def test_imported_history_has_the_labels_of_the_configuration_and_its_own_branches(tmp_path: Path) -> None:
    scenario, home = Scenario("tasks"), Home(tmp_path / "home")
    scenario.write_transcripts(tmp_path / "claude" / "projects")
    paths = list((tmp_path / "claude" / "projects").rglob("*.jsonl"))
    for path in paths:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line | {"gitBranch": "old/topic"}) + "\n" for line in lines))
    config = Config(labels=LabelsConfig(metrics=("user", "branch")), identity=GIVEN)
    reader = HistoryImport(home, config, lambda: LATER)
    for _ in reader.read(find_transcripts([tmp_path / "claude"])):
        pass
    reader.pair()
    connection = reader._store.connection
    found = {
        (dict(each.labels).get("user"), dict(each.labels).get("branch"))
        for each in read_aggregates(connection, 0, END_OF_TIME)
        if each.metric == catalog.TOOL_CALLS.name
    }
    assert found == {("ann", "old-topic")}
    reader.close()
