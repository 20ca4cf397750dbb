"""The commits, branches and pull requests of a finished Bash call, as its output shows them.

The client reports what it reads in the output (``gitOperation``): one commit of a chain, and no quiet commit. Git's reflog has all of
them (`reflog`). Both have the hash of a commit, and `same_commit` compares them. A line of the output that looks like a commit is no proof:
any program can print it. So it counts only if the reflog has its hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_hooks_otel.tool_effects.git_commands import GitInvocation, git_invocation
from claude_hooks_otel.tool_effects.pull_requests import pull_requests
from claude_hooks_otel.tool_effects.shell import simple_commands, word_set
from claude_hooks_otel.tool_effects.values import mapping, name_digest, text

# Git never abbreviates a hash to fewer digits. Source: core.abbrev in git-config(1).
MIN_HASH_DIGITS = 4
_NEW_COMMIT_ACTIONS = frozenset({"committed", "merged", "cherry-picked", "reverted", "applied"})

# ``git commit``, ``cherry-pick`` and ``revert`` print "[main 0123abc] subject", "[main (root-commit) …", "[detached HEAD …".
_COMMIT_LINE = re.compile(r"^\[[^\]\n]* ([0-9a-f]{4,64})\] ", re.MULTILINE)
_PRINTED_ACTIONS = {"commit": "committed", "cherry-pick": "cherry-picked", "revert": "reverted"}
_REPORTED_ACTIONS = frozenset({"committed", "amended", "cherry-picked", "reverted"})
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FAILED = re.compile(r"(?:Error: )?(?:Exit code \d|Error|The user )")

# The options that a subcommand takes before the name of a new branch.
_NEW_BRANCH_OPTIONS = {
    "checkout": word_set("-b -B --orphan"),
    "switch": word_set("-c -C --create --force-create --orphan"),
    "worktree": word_set("-b -B"),
}
# Options with which ``git branch`` makes no new branch, but lists, moves, copies, deletes or describes branches.
_NO_NEW_BRANCH = word_set(
    "-a --all -r --remotes -l --list -v -vv --verbose --show-current --contains --no-contains --merged --no-merged --points-at "
    "-d -D --delete -m -M --move -c -C --copy -u --set-upstream-to --unset-upstream --edit-description"
)


@dataclass(frozen=True, slots=True)
class GitOperation:
    """One change to a repository or to its host.

    Attributes:
        kind: what changed.
        action: of a commit: committed, amended, cherry-picked, merged, reverted, applied (``git am``) or rebased. Of a branch:
            created. Of a pull request: created, merged, closed, reopened, edited, ….
        key: the hash of a commit, whole or abbreviated (see `same_commit`), or the `name_digest` of a branch's name or of a pull
            request's address; "" if no output shows the address.
    """

    kind: Literal["commit", "branch", "pull_request"]
    action: str
    key: str

    @property
    def is_new_commit(self) -> bool:
        """Whether the operation adds a commit. An amended or rebased commit replaces another one."""
        return self.kind == "commit" and self.action in _NEW_COMMIT_ACTIONS


def same_commit(a: str, b: str) -> bool:
    """Return whether two hashes name the same commit. Both may be abbreviated."""
    a, b = a.lower(), b.lower()
    return min(len(a), len(b)) >= MIN_HASH_DIGITS and (a.startswith(b) or b.startswith(a))


def git_operations(tool_name: str, tool_input: Mapping[str, Any], tool_response: Any) -> list[GitOperation]:
    """Return the operations that the output of a finished Bash call shows, of several commits only the one that the client reports.

    Args:
        tool_name: the tool. Only Bash runs git.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse, or the transcript's ``toolUseResult``. For a failed call that is the text of
            the error, for a call in a sub-agent's transcript the text of the ``tool_result`` block.
    """
    command = text(mapping(tool_input).get("command"))
    if tool_name != "Bash" or command is None:
        return []
    response = mapping(tool_response)
    output = _output(tool_response)
    if isinstance(tool_response, str):
        succeeded = not _FAILED.match(tool_response)
    else:
        succeeded = bool(response) and not response.get("backgroundTaskId")
    reported = mapping(response.get("gitOperation"))
    commands = simple_commands(command)
    invocations = [call for each in commands if (call := git_invocation(each)) is not None]
    operations = [
        *_commit(invocations, mapping(reported.get("commit"))),
        *_branches(invocations, output, succeeded=succeeded),
        *(
            GitOperation("pull_request", action, name_digest(address) if address else "")
            for action, address in pull_requests(commands, output, mapping(reported.get("pr")), succeeded=succeeded)
        ),
    ]
    return list(dict.fromkeys(operations))


def printed_hashes(tool_response: Any) -> list[str]:
    """Return the hashes in the lines of the output that look like those of new commits, in their order."""
    return list(dict.fromkeys(_COMMIT_LINE.findall(_output(tool_response))))


def _output(tool_response: Any) -> str:
    """Return what a call printed, without colors."""
    response = mapping(tool_response)
    streams = (tool_response, response.get("stdout"), response.get("stderr"))
    return _ANSI.sub("", "\n".join(stream for stream in streams if isinstance(stream, str)))


def _commit(invocations: Sequence[GitInvocation], reported: Mapping[str, Any]) -> Iterator[GitOperation]:
    """Yield the commit that the client reports: the first one of a line. If any command amends, the client calls it amended."""
    sha, kind = text(reported.get("sha")) or "", text(reported.get("kind")) or ""
    makers = [action for invocation in invocations if (action := _printed_action(invocation)) is not None]
    if kind == "amended" and len(makers) > 1:
        kind = makers[0]
    if re.fullmatch(r"[0-9a-fA-F]{4,64}", sha):
        yield GitOperation("commit", kind if kind in _REPORTED_ACTIONS else "committed", sha.lower())


def _printed_action(invocation: GitInvocation) -> str | None:
    """Return the action of a git command that prints the line of a commit; None if it prints no such line."""
    if "--dry-run" in invocation.arguments:
        return None
    if invocation.subcommand == "commit" and "--amend" in invocation.arguments:
        return "amended"
    return _PRINTED_ACTIONS.get(invocation.subcommand)


def _branches(invocations: Sequence[GitInvocation], output: str, *, succeeded: bool) -> Iterator[GitOperation]:
    """Yield the branches that visible git commands have certainly made."""
    for invocation in invocations:
        name = _new_branch(invocation)
        if not name or "$" in name:
            continue
        if (succeeded and invocation.decisive) or f"Switched to a new branch '{name}'" in output:
            yield GitOperation("branch", "created", name_digest(name))


def _new_branch(invocation: GitInvocation) -> str | None:
    """Return the name of the branch that a git command makes; None if it makes none."""
    words = iter(invocation.arguments)
    if options := _NEW_BRANCH_OPTIONS.get(invocation.subcommand):
        return next((next(words, None) for word in words if word in options), None)
    if invocation.subcommand != "branch" or not _NO_NEW_BRANCH.isdisjoint(invocation.arguments):
        return None
    for word in words:
        if word in {"--sort", "--format"}:
            next(words, None)
        elif word == "--":
            return next(words, None)
        elif not word.startswith("-"):
            return word
    return None
