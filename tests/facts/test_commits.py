"""A commit counts if git's reflog has it or the client reports it, not because a line looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.from_tools import _git_operations
from claude_hooks_otel.units import SECOND
from tests.support.git_project import GitProject


@pytest.fixture
def repository(tmp_path: Path) -> GitProject:
    return GitProject(tmp_path)


def commits(repository: GitProject, command: str, printed: str, **fields: Any) -> list[str]:
    """Return the actions of the commits of a call that ended just now."""
    given = {"began_ns": repository.now * SECOND, "ended_ns": (repository.now + 1) * SECOND, "succeeded": True} | fields
    call = FinishedCall(
        tool_use_id="t",
        session_id="s",
        tool="Bash",
        arguments={"command": command},
        result={"stdout": printed},
        labels={"project": "p"},
        directory=str(repository.root),
        **given,
    )
    return list(dict.fromkeys(each.action for each in _git_operations(call) if each.kind == "commit"))


@pytest.mark.parametrize("is_timed", [True, False], ids=["hook", "transcript"])
def test_a_printed_line_without_a_commit_does_not_count(repository: GitProject, is_timed: bool) -> None:
    repository.now += 60
    assert commits(repository, "git commit -m x; cat log", "[main abc1234] another one", is_timed=is_timed) == []


@pytest.mark.parametrize("is_timed", [True, False], ids=["hook", "transcript"])
def test_a_printed_line_of_an_earlier_commit_does_not_count(repository: GitProject, is_timed: bool) -> None:
    repository.now += 60
    printed = repository.run("git commit --allow-empty -m earlier")
    repository.now += 60
    assert commits(repository, "git commit -m x; cat log", printed, is_timed=is_timed) == []


@pytest.mark.parametrize("is_timed", [True, False], ids=["hook", "transcript"])
def test_each_printed_commit_that_the_reflog_has_counts(repository: GitProject, is_timed: bool) -> None:
    repository.now += 60
    command = "git commit --allow-empty -m one && git commit --amend --allow-empty -m two"
    printed = repository.run(command)
    assert commits(repository, command, printed, is_timed=is_timed) == ["committed", "amended"]


def test_a_quiet_commit_is_left_to_the_hook_if_there_is_one(repository: GitProject) -> None:
    """A transcript has the time at which the model asked. Until the call ran, a human may have made a commit."""
    repository.now += 60
    repository.run("git commit -q --allow-empty -m x")
    command = "git commit -q --allow-empty -m x"
    assert commits(repository, command, "", is_timed=True) == ["committed"]
    assert commits(repository, command, "", is_timed=False) == []
    assert commits(repository, command, "", is_only_source=True) == ["committed"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git commit -q --allow-empty --amend -m x", ["amended"]),
        ("git commit -q --allow-empty -m y && git commit -q --allow-empty --amend -m x", ["committed", "amended"]),
        ("git commit --allow-empty -m y && git commit -q --allow-empty --amend -m x", ["committed", "amended"]),
        ("./commit.sh", []),
        ("git status", []),
    ],
)
def test_without_a_hook_the_last_commits_count_as_many_as_the_command_names(
    repository: GitProject, command: str, expected: list[str]
) -> None:
    """A human makes a commit while the call waits for permission. A script names none of its commits."""
    repository.now += 60
    repository.run("git commit -q --allow-empty -m human")
    printed = repository.run(command)
    assert commits(repository, command, printed, is_only_source=True) == expected


def test_without_a_hook_a_failed_command_has_only_the_commits_that_it_printed(repository: GitProject) -> None:
    repository.now += 60
    printed = repository.run("git commit --allow-empty -m x")
    repository.run("git commit -q --allow-empty -m human")
    command = "git commit --allow-empty -m x && git commit -q --allow-empty -m y && false"
    assert commits(repository, command, printed, is_only_source=True, succeeded=False) == ["committed"]


@pytest.mark.parametrize("is_timed", [True, False], ids=["hook", "transcript"])
def test_a_commit_with_a_date_of_its_own_counts_if_it_was_printed(repository: GitProject, is_timed: bool) -> None:
    command = "GIT_COMMITTER_DATE='@1000000000 +0000' git commit --allow-empty -m x"
    printed = repository.run(command)
    repository.now += 60
    assert commits(repository, command, printed, is_timed=is_timed) == ["committed"]
