"""Commits and branches are found in the reflogs of real git."""

from __future__ import annotations

import json

import pytest

from claude_hooks_otel.tool_effects.git_commands import working_directories
from claude_hooks_otel.tool_effects.git_operations import GitOperation, git_operations, printed_hashes, same_commit
from claude_hooks_otel.tool_effects.git_repository import GitRepository, find_repository
from claude_hooks_otel.tool_effects.reflog import reflog_operations
from claude_hooks_otel.tool_effects.values import name_digest
from tests.support.git_project import NOON, GitProject
from tests.support.places import DATA

SESSIONS = json.loads((DATA / "git_work" / "sessions.json").read_text())


@pytest.fixture
def repository(tmp_path):
    return GitProject(tmp_path)


def new_commits(found) -> int:
    return sum(each.is_new_commit for each in found)


def test_each_recorded_session_counts_the_commits_that_git_counts(repository):
    """The test runs the command lines of the recorded sessions in their order."""
    for session in SESSIONS:
        if session["case"].startswith("push"):
            repository.run("git push -q origin main")
        before = repository.count()
        seen = [found for call in session["calls"] for found in repository.call(call["tool_input"]["command"])]
        assert new_commits(seen) == repository.count() - before, session["case"]
        assert new_commits(seen) == session["new_commits"], session["case"]
    assert repository.run("git status --porcelain") == ""


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("git commit -q --allow-empty -m x", ["committed"]),
        ("git commit -q --allow-empty -m x && git commit -q --allow-empty -m y", ["committed", "committed"]),
        ("./commit.sh", ["committed"]),
        ("bash <<'E'\ngit commit -q --allow-empty -m x\nE", ["committed"]),
        ("git ci --allow-empty -m x", ["committed"]),
        ("git commit -q --amend --allow-empty -m x", ["amended"]),
        ("git commit -q --allow-empty -m x; git commit -q --amend --allow-empty -m y", ["committed", "amended"]),
        ("git revert --no-edit HEAD", ["reverted"]),
        ("git commit --allow-empty -m x --dry-run; git commit -m nothing", []),
        ("git stash -q; echo x > b.txt; git stash -q; git stash pop -q; git checkout -q -- .; git tag v1; git reset -q --soft HEAD", []),
        ("git checkout -q -b f HEAD~1; echo x > f.txt; git add -A; git commit -qm f; git checkout -q main; git cherry-pick f", ["committed", "cherry-picked"]),
        ("git checkout -q -b f HEAD~1; echo x > f.txt; git add -A; git commit -qm f; git checkout -q main; git merge -q --no-edit f", ["committed", "merged"]),
        ("git checkout -q -b f; git commit -q --allow-empty -m f; git checkout -q main; git merge -q f", ["committed"]),
        ("git checkout -q -b f HEAD~1; echo x > f.txt; git add -A; git commit -qm f; git rebase -q main", ["committed", "rebased"]),
        ("git checkout -q -b f HEAD~1; echo x > f.txt; git add -A; git commit -qm f; git checkout -q main; git merge -q --squash f; git commit -qm squashed", ["committed", "committed"]),
        ("git checkout -q -b f; echo x > f.txt; git add -A; git commit -qm f; git format-patch -q -1 --stdout > ../p; git reset -q --hard HEAD~1; git am -q ../p", ["committed"]),
        ("git checkout -q -b f HEAD~1; echo 2 > b.txt; git add -A; git commit -qm f; git checkout -q main; git merge -q f; echo 3 > b.txt; git add -A; git commit -qm done", ["committed", "merged"]),
        ("git checkout -q -b f HEAD~1; echo 2 > b.txt; git add -A; git commit -qm f; git checkout -q main; git cherry-pick f; echo 3 > b.txt; git add -A; git cherry-pick --continue", ["committed", "cherry-picked"]),
    ],
)  # fmt: skip
def test_the_reflog_shows_how_each_commit_was_made(repository, command, actions):
    before = repository.count()
    found = repository.call(command)
    assert [each.action for each in found if each.kind == "commit"] == actions
    assert new_commits(found) == repository.count() - before


def test_a_rebase_in_a_later_call_makes_no_new_commit(repository):
    repository.call("git checkout -q -b f HEAD~1; echo x > f.txt; git add -A; git commit -qm f")
    found = repository.call("git rebase -q main")
    assert [each.action for each in found if each.kind == "commit"] == ["rebased"]
    assert new_commits(found) == 0


def test_an_applied_patch_is_a_new_commit(repository):
    repository.call(
        "git checkout -q -b f; echo x > f.txt; git add -A; git commit -qm f; git format-patch -q -1 --stdout > ../p"
    )
    found = repository.call("git checkout -q main && git am -q ../p")
    assert [(each.action, each.is_new_commit) for each in found] == [("applied", True)]


def test_a_commit_outside_the_window_does_not_count(repository):
    repository.now = NOON + 100
    repository.run("git commit -q --allow-empty -m before")
    repository.now = NOON + 102
    repository.run("git commit -q --allow-empty -m within")
    repository.now = NOON + 104
    repository.run("git commit -q --allow-empty -m after")
    within = repository.run("git rev-parse HEAD~1").strip()
    assert repository.operations(NOON + 101.5, NOON + 103.9) == [GitOperation("commit", "committed", within)]
    assert repository.recorded(NOON + 105, NOON + 200) == []


def test_a_commit_in_the_first_second_of_the_window_counts(repository):
    """Git records whole seconds. It records a commit at 100.9 as 100, so a call that began at 100.8 may have made it."""
    repository.now = NOON + 100
    repository.run("git commit -q --allow-empty -m x")
    assert repository.recorded(NOON + 100.8, NOON + 101.5) == [("commit", "committed")]
    assert repository.recorded(NOON + 99.1, NOON + 100.0) == [("commit", "committed")]
    assert repository.recorded(NOON + 99.1, NOON + 99.9) == []
    assert repository.recorded(NOON + 101.0, NOON + 102.0) == []


def test_the_output_and_the_reflog_name_the_same_commit(repository):
    repository.now += 60
    (printed,) = printed_hashes(repository.run("git commit --allow-empty -m x"))
    (recorded,) = repository.operations(repository.now, repository.now)
    assert same_commit(printed, recorded.key)


@pytest.mark.parametrize(
    ("command", "commits"),
    [
        ("git update-ref HEAD $(git commit-tree -p HEAD -m x HEAD^{tree})", 1),
        ("git update-ref -m 'made by a tool' HEAD $(git commit-tree -p HEAD -m x HEAD^{tree})", 1),
        ("git update-ref refs/heads/main $(git commit-tree -p HEAD -m x HEAD^{tree})", 1),
        ("git branch other; git update-ref refs/heads/other $(git commit-tree -p HEAD -m x HEAD^{tree})", 1),
        (
            "c=$(git commit-tree -p HEAD -m x HEAD^{tree}); git update-ref HEAD $(git commit-tree -p $c -m y $c^{tree})",
            1,
        ),
        ("git commit-tree -p HEAD -m x HEAD^{tree}", 0),
        ("git update-ref HEAD HEAD~1", 0),
        ("git update-ref HEAD HEAD~1; git pack-refs --all; git gc -q; git update-ref HEAD origin/main", 0),
    ],
)
def test_a_commit_made_by_plumbing_counts_when_a_ref_moves_to_it(repository, command, commits):
    found = repository.call(command)
    assert [each.action for each in found if each.kind == "commit"] == ["committed"] * commits


@pytest.mark.parametrize(
    "command",
    [
        "GIT_DIR={0}/.git GIT_WORK_TREE={0} git commit -q --allow-empty -m x",
        "export GIT_DIR='{0}/.git'; git commit -q --allow-empty -m x",
        'env GIT_DIR="{0}/.git" git commit -q --allow-empty -m x',
        "git --git-dir={0}/.git commit -q --allow-empty -m x",
        "git --git-dir {0}/.git --work-tree {0} commit -q --allow-empty -m x",
        "cd / && GIT_DIR={0}/.git git commit -q --allow-empty -m x",
    ],
)
def test_a_commit_in_a_named_git_directory_counts(repository, command):
    command = command.format(repository.root)
    repository.now += 60
    repository.run(f"cd .. && {command}")
    found = [
        operation
        for folder in working_directories(command, repository.root.parent)
        if (named := find_repository(folder)) is not None
        for operation in reflog_operations(named, repository.now, repository.now)
    ]
    assert [each.action for each in found] == ["committed"]


def test_the_reflog_and_the_output_name_a_branch_by_the_same_key(repository):
    found = repository.call("git checkout -q -b feature/x && git branch other && git push -q -u origin feature/x")
    assert set(found) == {
        GitOperation("branch", "created", name_digest("feature/x")),
        GitOperation("branch", "created", name_digest("other")),
    }
    assert GitOperation("branch", "created", name_digest("feature/x")) in git_operations(
        "Bash", {"command": "git switch -c feature/x"}, {"stdout": ""}
    )
    assert repository.call("git checkout -q main; git branch -q -D feature/x; git checkout -q feature/x") == []


def test_a_commit_belongs_to_the_worktree_in_which_it_was_made(repository):
    repository.call("git worktree add -q ../other -b other")
    repository.now += 60
    repository.run("git -C ../other commit -q --allow-empty -m x")
    window = repository.now - 1, repository.now + 1
    assert repository.operations(*window) == []
    found = reflog_operations(find_repository(repository.root.parent / "other"), *window)
    assert [each.action for each in found] == ["committed"]


def test_a_new_branch_of_another_worktree_counts(repository):
    repository.now += 60
    repository.run("git worktree add -q ../other -b other")
    other = find_repository(repository.root.parent / "other")
    assert ("branch", "created") in repository.recorded(repository.now, repository.now)
    made = GitOperation("branch", "created", name_digest("other"))
    assert made in reflog_operations(other, repository.now, repository.now)


def test_a_missing_or_damaged_reflog_raises_nothing(tmp_path):
    repository = GitRepository(None, tmp_path, tmp_path)
    assert reflog_operations(repository, 0, 1e12) == []
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "HEAD").write_bytes(b"\xff\x00 not a reflog\n\n" + b"0" * 40)
    assert reflog_operations(repository, 0, 1e12) == []
