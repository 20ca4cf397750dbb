"""Commits, branches, pushes and pull requests: what the recordings show, and what the real git records."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.tool_effects.git_operations import (
    GitOperation,
    find_git_dir,
    git_operations,
    may_touch_git,
    name_digest,
    reflog_operations,
    same_commit,
    working_directories,
)
from tests.support.places import DATA

SESSIONS = json.loads((DATA / "git_work" / "sessions.json").read_text())
NOON = 1_600_000_000  # a moment in 2020, Unix seconds: before any file of these tests was written

# New commits that no output shows, so that the recording alone cannot tell: the reflog does (see below).
UNSEEN = {
    "commit-quiet": 1,
    "commit-script": 1,
    "branch-merge": 1,  # "Merge made by" names no commit
    "cherry-pick": 1,  # the quiet one before it
    "rebase": 1,
    "commit-background": 1,
}
PULL_REQUESTS = {
    "pr-create": [("created", "https://github.com/acme/widgets/pull/42")],
    "pr-create-heredoc": [("created", "https://github.com/acme/widgets/pull/42")],
    "pr-create-chained": [("created", "https://github.com/acme/widgets/pull/42")],
    "pr-create-quiet": [("created", "")],
    "pr-view-merge": [("merged", "https://github.com/acme/widgets/pull/42")],
    "pr-glab": [("created", "https://gitlab.com/acme/widgets/-/merge_requests/5")],
}


def shown(session) -> list[GitOperation]:
    return [
        found
        for call in session["calls"]
        for found in git_operations("Bash", call["tool_input"], call["tool_response"])
    ]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["case"])
def test_the_output_shows_every_commit_that_it_can_show_and_none_that_was_not_made(session):
    commits = {found.key for found in shown(session) if found.is_new_commit}
    assert len(commits) == session["new_commits"] - UNSEEN.get(session["case"], 0)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["case"])
def test_the_output_shows_every_pull_request_and_none_that_was_only_named(session):
    found = [(each.action, each.key) for each in shown(session) if each.kind == "pull_request"]
    expected = PULL_REQUESTS.get(session["case"], [])
    assert found == [(action, name_digest(address) if address else "") for action, address in expected]


def operations(command: str, output: str = "", **response) -> list[tuple[str, str, str]]:
    found = git_operations("Bash", {"command": command}, {"stdout": output, **response})
    return [(each.kind, each.action, each.key) for each in found]


def test_a_chain_with_an_amend_tells_which_commit_was_amended_although_the_client_calls_the_first_one_so():
    output = "[main aaaaaaa] one\n[main bbbbbbb] one, better\n Date: today\n"
    reported = {"commit": {"sha": "aaaaaaa", "kind": "amended", "branch": "main"}}
    assert operations("git commit -m one && git commit --amend -m two", output, gitOperation=reported) == [
        ("commit", "committed", "aaaaaaa"),
        ("commit", "amended", "bbbbbbb"),
    ]


def test_commits_before_a_failure_and_those_of_a_sub_agent_count():
    text = "Exit code 1\n[main (root-commit) aaaaaaa] one\nboom"
    found = git_operations("Bash", {"command": "git commit -m one && false"}, text)
    assert found == [GitOperation("commit", "committed", "aaaaaaa")]
    found = git_operations("Bash", {"command": "git commit -m one"}, "[detached HEAD aaaaaaa] one")
    assert found == [GitOperation("commit", "committed", "aaaaaaa")]


def test_a_line_that_only_looks_like_a_commit_is_none():
    assert operations("cat log", "[main aaaaaaa] one") == []
    assert operations("echo git commit", "[main aaaaaaa] one") == []
    assert operations("git commit --dry-run", "[main aaaaaaa] one") == []


@pytest.mark.parametrize(
    ("command", "output", "expected"),
    [
        ("gh pr create --fill || true", "a pull request for x already exists:\nhttps://github.com/a/b/pull/1", []),
        ("gh pr create --dry-run", "Would have created a Pull Request", []),
        ("gh pr create --web > /dev/null", "", []),
        ("gh pr view 1 || gh pr create --fill", "https://github.com/a/b/pull/2", ["https://github.com/a/b/pull/2"]),
        ("gh pr create -f > x || true", "", []),
        ("URL=$(gh pr create --fill)", "", [""]),
        ("gh api repos/a/b/pulls -f title=x", '{"url":"https://api.github.com/repos/a/b/pulls/3","html_url":"https://github.com/a/b/pull/3"}', ["https://github.com/a/b/pull/3"]),
        ("curl -X POST https://api.github.com/repos/a/b/pulls -d @x", '"html_url": "https://github.com/a/b/pull/4"', ["https://github.com/a/b/pull/4"]),
        ("curl https://api.github.com/repos/a/b/pulls", '"html_url": "https://github.com/a/b/pull/4"', []),
        ("gh pr create -t a; gh pr create -t b", "https://github.com/a/b/pull/5\nhttps://github.com/a/b/pull/6", ["https://github.com/a/b/pull/5", "https://github.com/a/b/pull/6"]),
        ("gh pr list", "https://github.com/a/b/pull/5", []),
    ],
)  # fmt: skip
def test_pull_requests_are_made_by_commands_that_make_them(command, output, expected):
    assert operations(command, output) == [
        ("pull_request", "created", name_digest(url) if url else "") for url in expected
    ]


def test_a_pull_request_is_merged_and_closed_under_the_address_it_was_created_with():
    key = name_digest("https://github.com/a/b/pull/7")
    created = {"pr": {"number": 7, "url": "https://github.com/a/b/pull/7", "action": "created"}}
    assert operations("gh pr create", "https://github.com/a/b/pull/7", gitOperation=created) == [
        ("pull_request", "created", key)
    ]
    for action in ("merged", "closed"):
        told = {"pr": {"number": 7, "action": action}}
        assert operations(f"gh pr {action}", "Pull request a/b#7 was done", gitOperation=told) == [
            ("pull_request", action, key)
        ]
    assert operations("gh pr merge 7", "done", gitOperation={"pr": {"number": 7, "action": "merged"}}) == [
        ("pull_request", "merged", "")
    ]


def test_a_branch_made_by_a_visible_command_that_succeeded_counts():
    made = [("branch", "created", name_digest("x/y"))]
    assert operations("git checkout -q -b x/y origin/main") == made
    assert operations("git switch -c x/y") == made
    assert operations("git branch x/y main") == made
    assert operations("git worktree add ../w -b x/y") == made
    assert operations("git checkout -b x/y; false || true", "Switched to a new branch 'x/y'") == made
    assert operations("git checkout -b x/y || true", "fatal: a branch named 'x/y' already exists") == []
    assert (
        operations("git branch -D x/y") == operations("git branch --list x/y") == operations("git checkout x/y") == []
    )


def test_hashes_are_compared_by_their_common_start():
    assert same_commit("c3a4829", "C3A4829f00")
    assert same_commit("c3a4829f00", "c3a4829")
    assert not same_commit("c3a4829", "c3a4828f00")
    assert not same_commit("c3a", "c3a4829")
    assert not same_commit("", "c3a4829")


@given(
    st.text(max_size=10),
    st.none()
    | st.text()
    | st.dictionaries(st.sampled_from(["command", "stdout", "gitOperation"]), st.none() | st.text()),
)
def test_odd_fields_never_raise(tool, value):
    odd = {"gitOperation": {"commit": value, "push": value, "branch": value, "pr": value}, "stdout": value}
    for response in (value, odd, {"gitOperation": value}):
        assert git_operations("Bash", {"command": "git commit; gh pr create; git merge x"}, response) is not None
        assert git_operations(tool, value, response) is not None


@pytest.mark.parametrize(
    "command",
    ["git commit", "git st", "./commit.sh", "make release", "npm run x", "bash x.sh", "$GIT commit", "bash -c 'git push'", "gh pr merge 1", "cd x && git pull", "python x.py", "git commit (((", "find . -exec git push ;"],
)  # fmt: skip
def test_a_line_that_may_touch_git_is_asked_about(command):
    assert may_touch_git(command)


@pytest.mark.parametrize(
    "command",
    ["sleep 9", "ls -la | head", "echo git commit", "git status && git diff", "git log --grep 'git commit'", "grep -r 'git push' .", "cat <<'E'\ngit commit\nE", "# git commit", "", "git", "sudo cat x"],
)  # fmt: skip
def test_a_line_that_cannot_touch_git_is_not(command):
    assert not may_touch_git(command)


def test_the_folders_of_a_line_are_followed():
    cwd = Path("/w/p")
    assert working_directories("git commit", cwd) == [cwd]
    assert working_directories("cd sub && git commit; cd ..", cwd) == [cwd, Path("/w/p/sub")]
    assert working_directories("git -C ../q -C r commit; git --git-dir=/x/.git log", cwd) == [
        cwd,
        Path("/w/q/r"),
        Path("/x/.git"),
    ]
    assert working_directories("cd $X; cd -; cd ~/x; pushd y", cwd) == [cwd, Path.home() / "x", Path.home() / "x" / "y"]


# From here on the real git.


class Repository:
    """A repository with a clock of its own: git takes the time of every commit and reflog entry from it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.home = root
        self.root.mkdir()
        self.now = NOON
        (root / ".gitconfig").write_text(
            "[user]\nname = Dev\nemail = dev@example.test\n[init]\ndefaultBranch = main\n[alias]\nci = commit -q\n[advice]\ndetachedHead = false\n"
        )
        tools = root / "bin"
        tools.mkdir()
        for tool, body in (
            ("gh", "echo https://github.com/acme/widgets/pull/42"),
            ("glab", "echo https://gitlab.com/a/b/-/merge_requests/5"),
        ):
            (tools / tool).write_text(f'#!/bin/sh\ncase "$*" in *FAIL*) echo failed; exit 1;; esac\n{body}\n')
            (tools / tool).chmod(0o755)
        self.run("git init -q --bare ../remote.git && git init -q && git remote add origin ../remote.git")
        (self.root / "commit.sh").write_text("#!/bin/sh\ngit commit -q --allow-empty -m scripted\n")
        (self.root / "commit.sh").chmod(0o755)
        self.run(
            "git add -A && git commit -qm init && echo 1 > b.txt && git add -A && git commit -qm second && git push -q -u origin main"
        )

    def run(self, command: str, check=True) -> str:
        environment = {
            "PATH": f"{self.home}/bin:{os.environ['PATH']}",
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_COMMITTER_DATE": f"@{self.now} +0000",
            "GIT_AUTHOR_DATE": f"@{self.now} +0000",
            "GIT_EDITOR": "true",
        }
        result = subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0 or not check, result.stderr
        return result.stdout + result.stderr

    def count(self) -> int:
        """The commits that branches hold, as git counts them."""
        return int(self.run("git rev-list --branches --count"))

    def recorded(self, since: float, until: float) -> list[tuple[str, str]]:
        return [(each.kind, each.action) for each in reflog_operations(self.root / ".git", since, until)]

    def call(self, command: str, seconds=1) -> list[GitOperation]:
        """A Bash call that takes some seconds, a minute after the one before; and what is recorded in its window."""
        self.now += 60
        began = self.now
        self.run(command, check=False)
        self.now += seconds
        return reflog_operations(self.root / ".git", began + 0.25, self.now + 0.5)


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def new_commits(found) -> int:
    return sum(each.is_new_commit for each in found)


def test_every_recorded_session_run_again_counts_the_commits_that_git_counts(repository):
    """The command lines of the recorded sessions, in their order, in a real repository."""
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
def test_the_reflog_tells_how_each_commit_was_made(repository, command, actions):
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


def test_a_persons_commit_outside_the_window_does_not_count(repository):
    repository.now = NOON + 100
    repository.run("git commit -q --allow-empty -m before")
    repository.now = NOON + 102
    repository.run("git commit -q --allow-empty -m within")
    repository.now = NOON + 104
    repository.run("git commit -q --allow-empty -m after")
    within = repository.run("git rev-parse HEAD~1").strip()
    assert reflog_operations(repository.root / ".git", NOON + 101.5, NOON + 103.9) == [
        GitOperation("commit", "committed", within)
    ]
    assert repository.recorded(NOON + 105, NOON + 200) == []


def test_the_second_in_which_the_window_opens_belongs_to_it(repository):
    """Git records whole seconds: a commit at 100.9 is recorded as 100, and a call that began at 100.8 made it, perhaps."""
    repository.now = NOON + 100
    repository.run("git commit -q --allow-empty -m x")
    assert repository.recorded(NOON + 100.8, NOON + 101.5) == [("commit", "committed")]
    assert repository.recorded(NOON + 99.1, NOON + 100.0) == [("commit", "committed")]
    assert repository.recorded(NOON + 99.1, NOON + 99.9) == []
    assert repository.recorded(NOON + 101.0, NOON + 102.0) == []


def test_the_output_and_the_reflog_name_the_same_commit(repository):
    repository.now += 60
    command = "git commit --allow-empty -m x"
    (told,) = git_operations("Bash", {"command": command}, {"stdout": repository.run(command)})
    (recorded,) = reflog_operations(repository.root / ".git", repository.now, repository.now)
    assert same_commit(told.key, recorded.key)
    assert (told.kind, told.action) == (recorded.kind, recorded.action)


def test_branches_and_pushes_are_recorded_under_the_keys_that_the_output_gives(repository):
    found = repository.call("git checkout -q -b feature/x && git branch other && git push -q -u origin feature/x")
    assert set(found) == {
        GitOperation("branch", "created", name_digest("feature/x")),
        GitOperation("branch", "created", name_digest("other")),
        GitOperation("push", "pushed", name_digest("feature/x")),
    }
    assert GitOperation("branch", "created", name_digest("feature/x")) in git_operations(
        "Bash", {"command": "git switch -c feature/x"}, {"stdout": ""}
    )
    assert repository.call("git checkout -q main; git branch -q -D feature/x; git checkout -q feature/x") == []


def test_work_in_another_worktree_is_that_worktrees(repository):
    repository.call("git worktree add -q ../other -b other")
    repository.now += 60
    repository.run("git -C ../other commit -q --allow-empty -m x")
    window = repository.now - 1, repository.now + 1
    other = repository.root.parent / "other"
    assert reflog_operations(repository.root / ".git", *window) == []
    assert [each.action for each in reflog_operations(other / ".git", *window)] == ["committed"]
    assert find_git_dir(other) == repository.root / ".git" / "worktrees" / "other"
    assert [each.action for each in reflog_operations(find_git_dir(other), *window)] == ["committed"]


def test_the_git_directory_is_found_from_below_and_a_bare_one_too(repository):
    below = repository.root / "a" / "b"
    below.mkdir(parents=True)
    assert find_git_dir(below) == repository.root / ".git"
    assert find_git_dir(repository.root.parent / "remote.git") == repository.root.parent / "remote.git"
    assert find_git_dir(repository.root / "missing" / "folder") == repository.root / ".git"


def test_a_folder_that_is_no_repository_has_nothing_and_raises_nothing(tmp_path):
    assert find_git_dir(tmp_path) is None
    assert reflog_operations(tmp_path / ".git", 0, 1e12) == []
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "HEAD").write_bytes(b"\xff\x00 not a reflog\n\n" + b"0" * 40)
    assert reflog_operations(tmp_path, 0, 1e12) == []
