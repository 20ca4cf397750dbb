"""The commits, branches and pull requests that the output of a finished Bash call shows.

The client reports (``gitOperation``) what it reads in the output: one commit of a chain, and no quiet commit. Git's own reflog has
all of them (`reflog`). Both name a commit by its hash, which `same_commit` compares.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from claude_hooks_otel.tool_effects.git_commands import GitInvocation, git_invocation
from claude_hooks_otel.tool_effects.pull_requests import pull_requests
from claude_hooks_otel.tool_effects.shell import simple_commands, word_set

# Git never abbreviates a hash to fewer digits (core.abbrev).
MIN_HASH_DIGITS = 4
# Actions that add a commit. An amended or rebased commit replaces another one.
_NEW_COMMIT_ACTIONS = frozenset({"committed", "merged", "cherry-picked", "reverted", "applied"})

# ``git commit``, ``cherry-pick`` and ``revert`` print "[main 0123abc] subject", "[main (root-commit) …", "[detached HEAD …".
_COMMIT_LINE = re.compile(r"^\[[^\]\n]* ([0-9a-f]{4,64})\] ", re.MULTILINE)
_PRINTED_ACTIONS = {"commit": "committed", "cherry-pick": "cherry-picked", "revert": "reverted"}
_REPORTED_ACTIONS = frozenset({"committed", "amended", "cherry-picked"})
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FAILED = re.compile(r"(?:Error: )?(?:Exit code \d|Error|The user )")

# The options after which a subcommand takes the name of a new branch.
_NEW_BRANCH_OPTIONS = {
    "checkout": word_set("-b -B --orphan"),
    "switch": word_set("-c -C --create --force-create --orphan"),
    "worktree": word_set("-b -B"),
}
# Options with which ``git branch`` makes no branch: it lists, moves, copies, deletes or describes some.
_NO_NEW_BRANCH = word_set(
    "-a --all -r --remotes -l --list -v -vv --verbose --show-current --contains --no-contains --merged --no-merged --points-at "
    "-d -D --delete -m -M --move -c -C --copy -u --set-upstream-to --unset-upstream --edit-description"
)


@dataclass(frozen=True, slots=True)
class GitOperation:
    """One change to a repository or to its host.

    Attributes:
        kind: what changed.
        action: for a commit committed, amended, cherry-picked, merged, reverted, applied (``git am``) or rebased; for a branch
            created; for a pull request created, merged, closed, reopened, edited, ….
        key: what names it: a commit's hash, whole or abbreviated (see `same_commit`); the digest (see `name_digest`) of a branch's
            name or of a pull request's address. "" for a pull request whose address no output shows.
    """

    kind: Literal["commit", "branch", "pull_request"]
    action: str
    key: str

    @property
    def is_new_commit(self) -> bool:
        """Whether there is one commit more than before."""
        return self.kind == "commit" and self.action in _NEW_COMMIT_ACTIONS


def name_digest(name: str) -> str:
    """Return 16 hex digits of SHA-256 that stand for a branch's name or a pull request's address."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def same_commit(a: str, b: str) -> bool:
    """Whether two hashes, either of which may be abbreviated, name the same commit."""
    a, b = a.lower(), b.lower()
    return min(len(a), len(b)) >= MIN_HASH_DIGITS and (a.startswith(b) or b.startswith(a))


def git_operations(tool_name: str, tool_input: Mapping[str, Any], tool_response: Any) -> list[GitOperation]:
    """Return what the output of a finished Bash call shows. No output shows quiet commits, and those of scripts.

    Args:
        tool_name: the tool. Only Bash runs git.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse or the transcript's ``toolUseResult``; or a text: the ``error`` of a failed
            call, or the ``tool_result`` of a sub-agent's transcript, which has no response.
    """
    command = _mapping(tool_input).get("command")
    if tool_name != "Bash" or not isinstance(command, str):
        return []
    response = _mapping(tool_response)
    if isinstance(tool_response, str):
        output, succeeded = tool_response, not _FAILED.match(tool_response)
    else:
        streams = (response.get("stdout"), response.get("stderr"))
        output = "\n".join(text for text in streams if isinstance(text, str))
        succeeded = bool(response) and not response.get("backgroundTaskId")
    output = _ANSI.sub("", output)
    reported = _mapping(response.get("gitOperation"))
    commands = simple_commands(command)
    invocations = [call for each in commands if (call := git_invocation(each)) is not None]
    operations = [
        *_commits(invocations, output, _mapping(reported.get("commit"))),
        *_branches(invocations, output, succeeded=succeeded),
        *(
            GitOperation("pull_request", action, name_digest(address) if address else "")
            for action, address in pull_requests(commands, output, _mapping(reported.get("pr")), succeeded=succeeded)
        ),
    ]
    return list(dict.fromkeys(operations))


def _commits(invocations: Sequence[GitInvocation], output: str, reported: Mapping[str, Any]) -> Iterator[GitOperation]:
    """Yield the commits that the output of visible git commands shows, and the one that the client reports."""
    sha, kind = reported.get("sha"), reported.get("kind")
    sha = sha if isinstance(sha, str) else ""
    kind = kind if isinstance(kind, str) and kind in _REPORTED_ACTIONS else "committed"
    makers = [action for invocation in invocations if (action := _printed_action(invocation)) is not None]
    hashes = list(dict.fromkeys(_COMMIT_LINE.findall(output))) if makers else []
    if len(hashes) == len(makers):
        actions = makers
    elif len(set(makers)) == 1:
        actions = makers[:1] * len(hashes)
    else:
        actions = [kind if same_commit(sha, each) else "committed" for each in hashes]
    for each, action in zip(hashes, actions, strict=True):
        yield GitOperation("commit", action, each)
    if re.fullmatch(r"[0-9a-fA-F]{4,64}", sha) and not any(same_commit(sha, each) for each in hashes):
        yield GitOperation("commit", kind, sha.lower())


def _printed_action(invocation: GitInvocation) -> str | None:
    """Return what a git command does to the commit whose line it prints; None if it prints none."""
    if "--dry-run" in invocation.arguments:
        return None
    if invocation.subcommand == "commit" and "--amend" in invocation.arguments:
        return "amended"
    return _PRINTED_ACTIONS.get(invocation.subcommand)


def _branches(invocations: Sequence[GitInvocation], output: str, *, succeeded: bool) -> Iterator[GitOperation]:
    """Yield the branches that visible git commands certainly made."""
    for invocation in invocations:
        name = _new_branch(invocation)
        if not name or "$" in name:
            continue
        if (succeeded and invocation.decisive) or f"Switched to a new branch '{name}'" in output:
            yield GitOperation("branch", "created", name_digest(name))


def _new_branch(invocation: GitInvocation) -> str | None:
    """Return the name of the branch that a git command makes by its arguments."""
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


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
