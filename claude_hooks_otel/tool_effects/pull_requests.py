"""Pull requests (merge requests) that a shell command line made or changed on its host, by their address."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude_hooks_otel.tool_effects.shell import SimpleCommand

# What the client reports (``gitOperation.pr.action``).
ACTIONS = frozenset(
    {
        *("created", "edited", "merged", "commented", "closed", "reopened", "ready", "draft"),
        *("auto-merge-enabled", "auto-merge-disabled"),
    }
)

# GitHub, GitLab, Bitbucket and Gitea; not the address of the same thing in their APIs.
_ADDRESS = re.compile(
    r"https?://(?!api\.|\S*/repos/)[\w.:-]+/[\w./~-]+?/(?:pull|-/merge_requests|pull-requests|pulls)/\d+"
)
_SHORT_NAME = re.compile(r"([\w.-]+/[\w.-]+)[#!](\d+)\b")
_CREATES = {"gh": ("pr", ("create", "new")), "glab": ("mr", ("create", "new"))}
_API_PATH = re.compile(r"(?:.*/)?repos/[^/\s]+/[^/\s]+/pulls/?|.*/projects/[^/\s]+/merge_requests/?")


def pull_requests(
    commands: Sequence[SimpleCommand], output: str, reported: Any, *, succeeded: bool
) -> Iterator[tuple[str, str | None]]:
    """Each pull request as (action, address); the address is None where nothing shows it.

    Args:
        commands: what the command line runs.
        output: what it printed.
        reported: the client's ``gitOperation.pr``, if there is one.
        succeeded: the line ended with status 0.
    """
    told = reported if isinstance(reported, Mapping) else {}
    action = told.get("action")
    shown = list(dict.fromkeys(_ADDRESS.findall(output)))
    makers = [command for command in commands if _creates(command)]
    existed = "already exists" in output  # then gh names the one that was there
    if action in ACTIONS and not (action == "created" and existed):
        address = _address(told, shown, output)
        yield action, address
        shown = [each for each in shown if each != address]
        makers = makers[1:] if action == "created" else makers
    if existed:
        return
    made = shown[-len(makers) :] if makers else []
    for address in made:
        yield "created", address
    if not made and succeeded and action != "created" and any(maker.decisive for maker in makers):
        yield "created", None  # it succeeded, and its output went elsewhere


def pull_request_address(url: str) -> str | None:
    """The address of the pull request that a URL leads to (or into); None for any other URL."""
    found = _ADDRESS.match(url)
    return found[0] if found else None


def _address(told: Mapping[str, Any], shown: Sequence[str], output: str) -> str | None:
    """The address of the pull request that the client reports, perhaps by its number alone."""
    url, number = told.get("url"), told.get("number")
    if isinstance(url, str) and (found := pull_request_address(url)) is not None:
        return found
    by_number = [each for each in shown if each.endswith(f"/{number}")]
    if by_number:
        return by_number[0]
    # "Merged pull request acme/widgets#42": gh's host is github.com unless it was told another one
    named = next((each for each in _SHORT_NAME.finditer(output) if each[2] == str(number)), None)
    return f"https://github.com/{named[1]}/pull/{number}" if named else None


def _creates(command: SimpleCommand) -> bool:
    """Whether a command makes a pull request: with gh, glab, or the host's API."""
    words = command.argv[1:]
    if not {"--dry-run", "--web", "-w", "--help", "-h"}.isdisjoint(words) and command.program in _CREATES:
        return False
    if command.program in _CREATES:
        noun, verbs = _CREATES[command.program]
        names = [word for word in words if not word.startswith("-")]
        if len(names) > 1 and names[0] == noun and names[1] in verbs:
            return True
    if command.program == "curl" or (command.program in _CREATES and words[:1] == ("api",)):
        posts = re.search(
            r" (?:-X|--method|--request)[ =]?POST\b| (?:-d|--data\S*|--json|-f|-F|--field|--raw-field)[ =]",
            f" {' '.join(words)} ",
        )
        return posts is not None and any(_API_PATH.fullmatch(word.partition("?")[0]) for word in words)
    return False
