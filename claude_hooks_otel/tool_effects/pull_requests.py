"""The pull requests (merge requests) that a shell command line made or changed on their host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude_hooks_otel.tool_effects.shell import SimpleCommand, word_set

# The values of the client's ``gitOperation.pr.action``.
_ACTIONS = word_set(
    "created edited merged commented closed reopened ready draft auto-merge-enabled auto-merge-disabled"
)

# A pull request's address at GitHub, GitLab, Bitbucket and Gitea, but not its address in their APIs.
_ADDRESS = re.compile(
    r"https?://(?!api\.|\S*/repos/)[\w.:-]+/[\w./~-]+?/(?:pull|-/merge_requests|pull-requests|pulls)/\d+"
)
_SHORT_NAME = re.compile(r"([\w.-]+/[\w.-]+)[#!](\d+)\b")
_NOUNS = {"gh": "pr", "glab": "mr"}
_NOT_MADE = word_set("--dry-run --web -w --help -h")
_API_PATH = re.compile(r"(?:.*/)?repos/[^/\s]+/[^/\s]+/pulls/?|.*/projects/[^/\s]+/merge_requests/?")
_API_POST = re.compile(r" (?:-X|--method|--request)[ =]?POST\b| (?:-d|--data\S*|--json|-f|-F|--field|--raw-field)[ =]")


def pull_requests(
    commands: Sequence[SimpleCommand], output: str, reported: Mapping[str, Any], *, succeeded: bool
) -> Iterator[tuple[str, str | None]]:
    """Yield each pull request as (action, address). The address is None if no output shows it.

    Args:
        commands: the commands of the line.
        output: the output of the line.
        reported: the client's ``gitOperation.pr``; empty without one.
        succeeded: whether the line ended with status 0.
    """
    action = reported.get("action")
    shown = list(dict.fromkeys(_ADDRESS.findall(output)))
    makers = [command for command in commands if _creates(command)]
    existed = "already exists" in output  # gh then prints the address of the existing one
    if isinstance(action, str) and action in _ACTIONS and not (action == "created" and existed):
        address = _address(reported, shown, output)
        yield action, address
        shown = [each for each in shown if each != address]
        makers = makers[1:] if action == "created" else makers
    if existed:
        return
    made = shown[-len(makers) :] if makers else []
    for address in made:
        yield "created", address
    if not made and succeeded and action != "created" and any(maker.decisive for maker in makers):
        yield "created", None  # it succeeded, but its output went elsewhere


def pull_request_address(url: str) -> str | None:
    """Return the address of the pull request in a URL, which may lead to a part of it; None for any other URL."""
    found = _ADDRESS.match(url)
    return found[0] if found else None


def _address(reported: Mapping[str, Any], shown: Sequence[str], output: str) -> str | None:
    """Return the address of the pull request that the client reports. The report may have only its number."""
    url, number = reported.get("url"), reported.get("number")
    if isinstance(url, str) and (found := pull_request_address(url)) is not None:
        return found
    by_number = [each for each in shown if each.endswith(f"/{number}")]
    if by_number:
        return by_number[0]
    # "Merged pull request acme/widgets#42". By default, gh works with github.com.
    named = next((each for each in _SHORT_NAME.finditer(output) if each[2] == str(number)), None)
    return f"https://github.com/{named[1]}/pull/{number}" if named else None


def _creates(command: SimpleCommand) -> bool:
    """Return whether a command makes a pull request with gh, glab or the host's API."""
    words = command.argv[1:]
    noun = _NOUNS.get(command.program)
    if noun is not None:
        if not _NOT_MADE.isdisjoint(words):
            return False
        names = [word for word in words if not word.startswith("-")]
        if names[:2] in ([noun, "create"], [noun, "new"]):
            return True
    if command.program != "curl" and (noun is None or words[:1] != ("api",)):
        return False
    posts = _API_POST.search(f" {' '.join(words)} ") is not None
    return posts and any(_API_PATH.fullmatch(word.partition("?")[0]) for word in words)
