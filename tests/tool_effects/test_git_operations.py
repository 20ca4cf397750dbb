"""The output of recorded calls shows commits, branches and pull requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.tool_effects.git_commands import may_touch_git, working_directories
from claude_hooks_otel.tool_effects.git_operations import GitOperation, git_operations, printed_hashes, same_commit
from claude_hooks_otel.tool_effects.values import name_digest
from tests.support.places import DATA

SESSIONS = json.loads((DATA / "git_work" / "sessions.json").read_text())

# New commits that the client does not report. The reflog has them (test_reflog.py).
UNSEEN = {
    "commit-two-chained": 1,  # only the first commit of a line
    "commit-two-semicolon": 1,
    "revert": 1,
    "commit-subagent": 1,  # a sub-agent's transcript has no report
    "commit-quiet": 1,
    "commit-script": 1,
    "branch-merge": 1,  # "Merge made by" names no commit
    "cherry-pick": 1,  # not the quiet commit before it
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
def test_the_client_reports_commits_and_nothing_else_counts_as_one(session):
    commits = {found.key for found in shown(session) if found.is_new_commit}
    assert len(commits) == session["new_commits"] - UNSEEN.get(session["case"], 0)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["case"])
def test_the_output_shows_each_new_pull_request_and_none_that_is_only_mentioned(session):
    found = [(each.action, each.key) for each in shown(session) if each.kind == "pull_request"]
    expected = PULL_REQUESTS.get(session["case"], [])
    assert found == [(action, name_digest(address) if address else "") for action, address in expected]


def operations(command: str, output: str = "", **response) -> list[tuple[str, str, str]]:
    found = git_operations("Bash", {"command": command}, {"stdout": output, **response})
    return [(each.kind, each.action, each.key) for each in found]


def test_the_first_command_decides_whether_the_reported_commit_was_amended():
    """The client reports the first commit of a line. If any command of the line amends, it calls that commit amended."""
    reported = {"commit": {"sha": "aaaaaaa", "kind": "amended", "branch": "main"}}
    assert operations("git commit -m one && git commit --amend -m two", gitOperation=reported) == [
        ("commit", "committed", "aaaaaaa")
    ]
    assert operations("git commit --amend -m two", gitOperation=reported) == [("commit", "amended", "aaaaaaa")]


@pytest.mark.parametrize(
    "command", ["git commit -m one", "cat log", "echo git commit", "git commit --dry-run", "./tool"]
)
def test_a_line_that_looks_like_a_commit_is_no_commit(command):
    assert operations(command, "[main aaaaaaa] one") == []


def test_the_hashes_of_lines_that_look_like_commits_are_found():
    output = "\x1b[1m[main (root-commit) aaaaaaa] one\n[detached HEAD bbbbbbb] two\n[x]\n[main aaaaaaa] one"
    for response in (output, {"stdout": output}, {"stderr": output}):
        assert printed_hashes(response) == ["aaaaaaa", "bbbbbbb"]
    assert printed_hashes(None) == printed_hashes({"stdout": 5}) == []


@pytest.mark.parametrize(
    ("command", "output", "expected"),
    [
        ("gh pr create --fill || true", "a pull request for x already exists:\nhttps://github.com/a/b/pull/1", []),
        ("gh pr create --dry-run", "Would have created a Pull Request", []),
        ("gh pr create --web > /dev/null", "", []),
        ("gh pr view 1 || gh pr create --fill", "https://github.com/a/b/pull/2", ["https://github.com/a/b/pull/2"]),
        ("gh pr create -f > x || true", "", []),
        ("URL=$(gh pr create --fill)", "", [""]),
        ("URL=$(gh pr create --fill) && echo done", "done", [""]),
        ("set -e; URL=$(gh pr create --fill); echo done", "done", []),  # it may have failed, for all that anyone can see
        ("gh api repos/a/b/pulls -f title=x", '{"url":"https://api.github.com/repos/a/b/pulls/3","html_url":"https://github.com/a/b/pull/3"}', ["https://github.com/a/b/pull/3"]),
        ("curl -X POST https://api.github.com/repos/a/b/pulls -d @x", '"html_url": "https://github.com/a/b/pull/4"', ["https://github.com/a/b/pull/4"]),
        ("curl https://api.github.com/repos/a/b/pulls", '"html_url": "https://github.com/a/b/pull/4"', []),
        ("gh pr create -t a; gh pr create -t b", "https://github.com/a/b/pull/5\nhttps://github.com/a/b/pull/6", ["https://github.com/a/b/pull/5", "https://github.com/a/b/pull/6"]),
        ("gh pr list", "https://github.com/a/b/pull/5", []),
    ],
)  # fmt: skip
def test_only_a_command_that_creates_a_pull_request_counts(command, output, expected):
    assert operations(command, output) == [
        ("pull_request", "created", name_digest(url) if url else "") for url in expected
    ]


def test_a_pull_request_keeps_its_key_from_creation_to_merge():
    key = name_digest("https://github.com/a/b/pull/7")
    created = {"pr": {"number": 7, "url": "https://github.com/a/b/pull/7", "action": "created"}}
    assert operations("gh pr create", "https://github.com/a/b/pull/7", gitOperation=created) == [
        ("pull_request", "created", key)
    ]
    for action in ("merged", "closed"):
        reported = {"pr": {"number": 7, "action": action}}
        assert operations(f"gh pr {action}", "Pull request a/b#7 was done", gitOperation=reported) == [
            ("pull_request", action, key)
        ]
    assert operations("gh pr merge 7", "done", gitOperation={"pr": {"number": 7, "action": "merged"}}) == [
        ("pull_request", "merged", "")
    ]


def test_a_branch_counts_if_the_command_that_makes_it_succeeded():
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


def test_an_abbreviated_hash_names_the_same_commit_as_the_whole_one():
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
def test_fields_of_an_unexpected_type_never_raise(tool, value):
    odd = {"gitOperation": {"commit": value, "push": value, "branch": value, "pr": value}, "stdout": value}
    for response in (value, odd, {"gitOperation": value}):
        assert git_operations("Bash", {"command": "git commit; gh pr create; git merge x"}, response) is not None
        assert git_operations(tool, value, response) is not None


@pytest.mark.parametrize(
    "command",
    ["git commit", "git st", "./commit.sh", "make release", "npm run x", "bash x.sh", "$GIT commit", "bash -c 'git push'", "gh pr merge 1", "cd x && git pull", "python x.py", "git commit (((", "find . -exec git push ;"],
)  # fmt: skip
def test_a_line_that_runs_git_or_an_unknown_program_may_touch_git(command):
    assert may_touch_git(command)


@pytest.mark.parametrize(
    "command",
    ["sleep 9", "ls -la | head", "echo git commit", "git status && git diff", "git log --grep 'git commit'", "grep -r 'git push' .", "cat <<'E'\ngit commit\nE", "# git commit", "", "git", "sudo cat x"],
)  # fmt: skip
def test_a_line_of_known_utilities_and_reading_git_commands_cannot_touch_git(command):
    assert not may_touch_git(command)


def test_the_folders_of_a_line_are_those_that_it_names():
    cwd = Path("/w/p")
    assert working_directories("git commit", cwd) == [cwd]
    assert working_directories("cd sub && git commit; cd ..", cwd) == [cwd, Path("/w/p/sub")]
    assert working_directories("git -C ../q -C r commit; git --git-dir=/x/.git log", cwd) == [
        cwd,
        Path("/w/q/r"),
        Path("/x/.git"),
    ]
    assert working_directories("cd $X; cd -; cd ~/x; pushd y", cwd) == [cwd, Path.home() / "x", Path.home() / "x" / "y"]
