"""What a change of a settings file changes, in a few lines: equal hooks are named together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from claude_hooks_otel.installation.hook_entries import registered_as, registered_commands
from claude_hooks_otel.installation.status_line import command_of


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between two settings, a line each, removed ones first.

    Args:
        before: the content of the file.
        after: the content that it gets.
    """
    old, new = _env(before), _env(after)
    yield from (f"- env.{name} = {old[name]}" for name in old if new.get(name) != old[name])
    yield from (f"+ env.{name} = {new[name]}" for name in new if old.get(name) != new[name])
    if (theirs := command_of(before)) != (ours := command_of(after)):
        yield from (f"- statusLine: {theirs}",) if theirs else ()
        yield from (f"+ statusLine: {ours}",) if ours else ()
    had, has = (registered_commands(values.get("hooks")) for values in (before, after))
    if gone := [event for event in had if event not in has]:
        yield f"- hooks for {_listed(gone)}"
    if replaced := [event for event in had if event in has and had[event] != has[event]]:
        yield f"~ hooks for {_listed(replaced)}: the command of this version and of {registered_as(after['hooks'])} registration"
    if added := [event for event in has if event not in had]:
        yield f"+ hooks for {_listed(added)}"
        yield f"  the one for {added[0]}: {has[added[0]][0]}"


def _env(values: Mapping[str, Any]) -> dict[str, str]:
    env = values.get("env")
    return {name: json.dumps(value) for name, value in env.items()} if isinstance(env, dict) else {}


def _listed(events: list[str]) -> str:
    return f"{len(events)} event{'s' if len(events) > 1 else ''}: {', '.join(events)}"
