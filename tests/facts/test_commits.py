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
    given = {"began_ns": repository.now * SECOND, "ended_ns": (repository.now + 1) * SECOND} | fields
    call = FinishedCall(
        tool_use_id="t",
        session_id="s",
        tool="Bash",
        arguments={"command": command},
        result={"stdout": printed},
        succeeded=True,
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


def test_a_quiet_commit_counts_only_with_the_times_of_a_hook(repository: GitProject) -> None:
    """A transcript has the time at which the model asked. Until the call ran, a human may have made a commit."""
    repository.now += 60
    repository.run("git commit -q --allow-empty -m x")
    command = "git commit -q --allow-empty -m x"
    assert commits(repository, command, "", is_timed=True) == ["committed"]
    assert commits(repository, command, "", is_timed=False) == []


@pytest.mark.parametrize("is_timed", [True, False], ids=["hook", "transcript"])
def test_a_commit_with_a_date_of_its_own_counts_if_it_was_printed(repository: GitProject, is_timed: bool) -> None:
    command = "GIT_COMMITTER_DATE='@1000000000 +0000' git commit --allow-empty -m x"
    printed = repository.run(command)
    repository.now += 60
    assert commits(repository, command, printed, is_timed=is_timed) == ["committed"]
