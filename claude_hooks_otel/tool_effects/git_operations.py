"""Commits, pushes, branches and pull requests that a finished Bash call made: what the client reports, and what git recorded.

The client reports (``gitOperation``) what it reads in the output: one commit of a chain, none of a quiet one. Git's own reflog
has them all, to the second. Both name a commit by its hash, which `same_commit` compares.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any, Literal

from claude_hooks_otel.tool_effects import reflog
from claude_hooks_otel.tool_effects.git_commands import (
    GitInvocation,
    git_invocation,
    may_touch_git,
    working_directories,
)
from claude_hooks_otel.tool_effects.pull_requests import pull_requests
from claude_hooks_otel.tool_effects.reflog import find_git_dir
from claude_hooks_otel.tool_effects.shell import simple_commands

__all__ = [
    "MIN_HASH_DIGITS",
    "GitOperation",
    "find_git_dir",
    "git_operations",
    "may_touch_git",
    "name_digest",
    "reflog_operations",
    "same_commit",
    "working_directories",
]

# Git abbreviates a hash to no fewer digits (core.abbrev).
MIN_HASH_DIGITS = 4
# Actions that leave a commit more than there was; an amended or rebased one takes the place of another.
NEW_COMMIT_ACTIONS = frozenset({"committed", "merged", "cherry-picked", "reverted", "applied"})

# ``git commit``, ``cherry-pick`` and ``revert`` print "[main 0123abc] subject", "[main (root-commit) …", "[detached HEAD …".
_COMMIT_LINE = re.compile(r"^\[[^\]\n]* ([0-9a-f]{4,64})\] ", re.MULTILINE)
_PRINTED_ACTIONS = {"commit": "committed", "cherry-pick": "cherry-picked", "revert": "reverted"}
_REPORTED_ACTIONS = frozenset({"committed", "amended", "cherry-picked"})
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class GitOperation:
    """One thing that was done to a repository or to its host.

    Attributes:
        kind: what it was done to.
        action: for a commit committed, amended, cherry-picked, merged, reverted, applied (``git am``) or rebased; for a push
            pushed; for a branch created, merged or rebased; for a pull request created, merged, closed, reopened, edited, ….
        key: what names it: a commit's hash, whole or abbreviated (see `same_commit`); the digest (16 hex digits of SHA-256) of a
            branch's name, or of a pull request's address. "" where a pull request was made or merged and its address not shown:
            the tool call itself is then all that names it.
    """

    kind: Literal["commit", "push", "branch", "pull_request"]
    action: str
    key: str

    @property
    def is_new_commit(self) -> bool:
        """Whether there is one commit more than before."""
        return self.kind == "commit" and self.action in NEW_COMMIT_ACTIONS


def name_digest(name: str) -> str:
    """16 hex digits that stand for a branch's name or a pull request's address."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def same_commit(a: str, b: str) -> bool:
    """Whether two hashes, of which either may be abbreviated, name the same commit."""
    a, b = a.lower(), b.lower()
    return min(len(a), len(b)) >= MIN_HASH_DIGITS and (a.startswith(b) or b.startswith(a))


def git_operations(tool_name: str, tool_input: Mapping[str, Any], tool_response: Any) -> list[GitOperation]:
    """What the output of a finished Bash call shows of it; quiet commits, and those of scripts, are in no output.

    Args:
        tool_name: the tool; only Bash runs git.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse or the transcript's ``toolUseResult``; or a text: the ``error`` of a failed
            call, or the ``tool_result`` of a sub-agent's transcript, which keeps no response.
    """
    command = tool_input.get("command") if isinstance(tool_input, Mapping) else None
    if tool_name != "Bash" or not isinstance(command, str):
        return []
    response = tool_response if isinstance(tool_response, Mapping) else {}
    reported = response.get("gitOperation")
    reported = reported if isinstance(reported, Mapping) else {}
    parts = [tool_response] if isinstance(tool_response, str) else [response.get("stdout"), response.get("stderr")]
    output = _ANSI.sub("", "\n".join(part for part in parts if isinstance(part, str)))
    failed = (
        isinstance(tool_response, str)
        and re.match(r"(Error: )?(Exit code \d|Error|The user )", tool_response) is not None
    )
    succeeded = (
        not failed and (bool(response) or isinstance(tool_response, str)) and not response.get("backgroundTaskId")
    )
    commands = simple_commands(command)
    invocations = [call for each in commands if (call := git_invocation(each)) is not None]
    operations = [
        *_commits(invocations, output, reported.get("commit")),
        *_pushes(reported.get("push")),
        *_branches(invocations, output, succeeded=succeeded),
        *(
            GitOperation("pull_request", action, name_digest(address) if address else "")
            for action, address in pull_requests(commands, output, reported.get("pr"), succeeded=succeeded)
        ),
    ]
    return list(dict.fromkeys(operations))


def reflog_operations(git_dir: Path, since: float, until: float) -> list[GitOperation]:
    """What git recorded between two moments in one worktree: every commit, each new branch, each push.

    A reflog knows whole seconds: what happened in the second in which the window opens or closes belongs to it, whoever did it.
    A commit whose date is set by hand (GIT_COMMITTER_DATE) is recorded under that date. Commits come from the HEAD of this
    worktree, so that work in another worktree of the repository is not taken for this one's; branches and pushes are shared.

    Args:
        git_dir: the ``.git`` folder, or the ``.git`` file of a worktree.
        since: start of the window, Unix seconds.
        until: its end.
    """
    found_dir = reflog.resolve_git_dir(git_dir)
    if found_dir is None:
        return []
    shared = reflog.common_dir(found_dir) / "logs" / "refs"

    def inside(entry: reflog.ReflogEntry) -> bool:
        return floor(since) <= entry.seconds <= until

    commits: dict[str, GitOperation] = {}
    for entry in filter(inside, reflog.entries(found_dir / "logs" / "HEAD")):
        if action := entry.commit_action:
            commits.setdefault(entry.new, GitOperation("commit", action, entry.new))
    found = list(commits.values())
    for name, log in reflog.changed_logs(shared / "heads", since):
        first = next(reflog.entries(log), None)
        if first is not None and inside(first) and first.creates_branch:
            found.append(GitOperation("branch", "created", name_digest(name)))
    for name, log in reflog.changed_logs(shared / "remotes", since):
        if any(inside(entry) and entry.message == "update by push" for entry in reflog.entries(log)):
            found.append(GitOperation("push", "pushed", name_digest(name.partition("/")[2])))
    return found


def _commits(invocations: Sequence[GitInvocation], output: str, reported: Any) -> Iterator[GitOperation]:
    """The commits that the output of visible git commands shows, and the one that the client reports."""
    makers = [action for invocation in invocations if (action := _printed_action(invocation)) is not None]
    hashes = list(dict.fromkeys(_COMMIT_LINE.findall(output))) if makers else []
    told = reported if isinstance(reported, Mapping) else {}
    sha, kind = told.get("sha"), told.get("kind")
    kind = kind if kind in _REPORTED_ACTIONS else "committed"
    if len(hashes) == len(makers):
        actions = makers
    elif len(set(makers)) == 1:
        actions = makers[:1] * len(hashes)
    else:
        actions = [kind if isinstance(sha, str) and same_commit(sha, each) else "committed" for each in hashes]
    for each, action in zip(hashes, actions, strict=True):
        yield GitOperation("commit", action, each)
    if (
        isinstance(sha, str)
        and re.fullmatch(r"[0-9a-fA-F]{4,64}", sha)
        and not any(same_commit(sha, each) for each in hashes)
    ):
        yield GitOperation("commit", kind, sha.lower())


def _printed_action(invocation: GitInvocation) -> str | None:
    """What a git command says it did to the commit whose line it prints; None if it prints none."""
    action = _PRINTED_ACTIONS.get(invocation.subcommand)
    if action is None or "--dry-run" in invocation.arguments:
        return None
    return "amended" if invocation.subcommand == "commit" and "--amend" in invocation.arguments else action


def _pushes(reported: Any) -> Iterator[GitOperation]:
    branch = reported.get("branch") if isinstance(reported, Mapping) else None
    if isinstance(branch, str) and branch:
        yield GitOperation("push", "pushed", name_digest(branch))


def _branches(invocations: Sequence[GitInvocation], output: str, *, succeeded: bool) -> Iterator[GitOperation]:
    """Branches that visible git commands made, merged or rebased onto."""
    for invocation in invocations:
        name = _new_branch(invocation)
        certain = (succeeded and invocation.decisive) or (
            name is not None and f"Switched to a new branch '{name}'" in output
        )
        if name and certain and "$" not in name:
            yield GitOperation("branch", "created", name_digest(name))
        names = invocation.operands(
            {"-m", "-F", "-s", "-X", "--into-name", "--strategy", "--strategy-option", "--onto", "-x"}
        )
        if not names or "$" in names[0]:
            continue
        if invocation.subcommand == "merge" and re.search(r"^(Fast-forward|Merge made by)", output, re.MULTILINE):
            yield GitOperation("branch", "merged", name_digest(names[0]))
        if invocation.subcommand == "rebase" and "Successfully rebased" in output:
            yield GitOperation("branch", "rebased", name_digest(names[0]))


def _new_branch(invocation: GitInvocation) -> str | None:
    """The name of the branch that a git command makes, as its arguments say."""
    arguments = invocation.arguments
    flags = {
        "checkout": ("-b", "-B", "--orphan"),
        "switch": ("-c", "-C", "--create", "--force-create", "--orphan"),
        "worktree": ("-b", "-B"),
    }.get(invocation.subcommand)
    if flags is not None:
        at = next((at for at, word in enumerate(arguments[:-1]) if word in flags), None)
        return None if at is None else arguments[at + 1]
    if invocation.subcommand != "branch" or not set(arguments).isdisjoint(_BRANCH_QUESTIONS):
        return None
    return next(iter(invocation.operands({"-u", "--set-upstream-to", "--sort", "--format"})), None)


# Options with which ``git branch`` lists, moves or deletes branches instead of making one.
_BRANCH_QUESTIONS = frozenset(
    {
        *(
            "-a",
            "--all",
            "-r",
            "--remotes",
            "-l",
            "--list",
            "-v",
            "-vv",
            "--verbose",
            "--show-current",
            "--contains",
            "--no-contains",
        ),
        *("--merged", "--no-merged", "--points-at", "-d", "-D", "--delete", "-m", "-M", "--move", "-c", "-C", "--copy"),
        *("-u", "--set-upstream-to", "--unset-upstream", "--edit-description"),
    }
)
