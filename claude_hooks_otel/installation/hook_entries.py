"""Our entries in the ``hooks`` of a settings file: adds, replaces, finds and removes them, and leaves all others alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from claude_hooks_otel.installation.json_text import JsonText
from claude_hooks_otel.installation.settings_file import SettingsError
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.registration import Registration


def check_shape(document: JsonText) -> None:
    """Make sure that ``hooks`` and ``env`` have the shape that Claude Code expects.

    Raises:
        SettingsError: they do not. The message says what is wrong and where.
    """
    env = document.get(["env"])
    if "env" in document.value and not isinstance(env, dict):
        raise SettingsError("env has to be an object of names and values. Correct it and try again.")
    if "hooks" not in document.value:
        return
    hooks = document.get(["hooks"])
    if not isinstance(hooks, dict):
        raise SettingsError("hooks has to be an object of event names. Correct it and try again.")
    for event, groups in hooks.items():
        if not isinstance(groups, list):
            raise SettingsError(f"hooks.{event} has to be a list. Correct it and try again.")
        for number, group in enumerate(groups):
            if not isinstance(group, dict) or not isinstance(group.get("hooks"), list):
                raise SettingsError(
                    f"hooks.{event}[{number}] has to be an object with a list `hooks`. Correct it and try again."
                )


def malformed(hooks: Any) -> Iterator[str]:
    """Yield the path of each entry that Claude Code cannot read. It then ignores all hooks of the file, also those of others.

    Source: anthropics/claude-code#75081, #75071.

    Args:
        hooks: the object ``hooks`` of a settings file, of any shape.
    """
    if not isinstance(hooks, dict):
        yield "hooks"
        return
    for event, groups in hooks.items():
        if not isinstance(groups, list):
            yield f"hooks.{event}"
            continue
        for number, group in enumerate(groups):
            yield from _malformed_in(group, f"hooks.{event}[{number}]")


def _malformed_in(group: Any, path: str) -> Iterator[str]:
    if not isinstance(group, dict):
        yield path
        return
    if not isinstance(group.get("matcher", ""), str):
        yield f"{path}.matcher"
    handlers = group.get("hooks")
    if not isinstance(handlers, list):
        yield f"{path}.hooks"
        return
    for number, handler in enumerate(handlers):
        if not isinstance(handler, dict) or not isinstance(handler.get("type"), str):
            yield f"{path}.hooks[{number}]"
        elif handler["type"] == "command" and not isinstance(handler.get("command"), str):
            yield f"{path}.hooks[{number}].command"


def register(document: JsonText, chosen: Registration | None = None) -> list[list[str]]:
    """Add the entries of ``registration.settings_hooks``. Replace older ones of ours in place.

    Args:
        document: the settings.
        chosen: which events to register. With None, the settings keep what they have; new ones get all events.

    Returns:
        The objects and lists that were added to hold them.
    """
    made: list[list[str]] = []
    wanted = registration.settings_hooks(chosen or registered_as(document.get(["hooks"])))
    if document.get(["hooks"]) is None:
        document.set(["hooks"], {})
        made.append(["hooks"])
    for event in [event for event in document.get(["hooks"]) if event not in wanted]:
        # An event of full registration: the list may be the owner's. ``Changes.remove_empty`` removes it if it is not.
        if _take_out(document, event) and not document.get(["hooks", event]) and event not in registration.REGISTERED:
            document.remove(["hooks", event])  # an event that an older version registered
    for event, groups in wanted.items():
        if document.get(["hooks", event]) is None:
            document.set(["hooks", event], groups)
            made.append(["hooks", event])
            continue
        [group] = groups
        present = document.get(["hooks", event])
        whole = [index for index, other in enumerate(present) if _is_wholly_ours(other)]
        keep = next((index for index in whole if present[index] == group), whole[0] if whole else None)
        if keep is not None and present[keep] != group:
            document.set(["hooks", event, keep], group)
        _take_out(document, event, but=keep)
        if keep is None:
            document.set(["hooks", event, len(document.get(["hooks", event]))], group)
    return made


def unregister(document: JsonText) -> int:
    """Remove our entries. Return how many there were. Lists and objects stay, even if they are empty."""
    return sum(_take_out(document, event) for event in list(document.get(["hooks"]) or {}))


def registered_commands(hooks: Any) -> dict[str, list[str]]:
    """Return our commands in a ``hooks`` object of any shape, by event."""
    found: dict[str, list[str]] = {}
    for event, groups in hooks.items() if isinstance(hooks, dict) else ():
        for _, _, command in _ours(groups):
            found.setdefault(event, []).append(command)
    return found


def registered_as(hooks: Any) -> Registration:
    """Return which events a ``hooks`` object of any shape registers: all, unless one of our commands says that it is light."""
    commands = (command for found in registered_commands(hooks).values() for command in found)
    is_light = any(registration.registration_of(command) is Registration.LIGHT for command in commands)
    return Registration.LIGHT if is_light else Registration.FULL


def _ours(groups: Any) -> Iterator[tuple[int, int, str]]:
    """Return each of our handlers: the index of its group, its index in the group, and its command."""
    for group_index, group in enumerate(groups if isinstance(groups, list) else ()):
        handlers = group.get("hooks") if isinstance(group, dict) else None
        for index, handler in enumerate(handlers if isinstance(handlers, list) else ()):
            command = handler.get("command") if isinstance(handler, dict) else None
            if isinstance(command, str) and registration.is_ours(command):
                yield group_index, index, command


def _is_wholly_ours(group: Any) -> bool:
    return len(list(_ours([group]))) == len(group["hooks"]) > 0


def _take_out(document: JsonText, event: str, but: int | None = None) -> int:
    """Remove our handlers of one event, and the groups that held nothing else, except the group ``but``. Return how many."""
    groups = document.get(["hooks", event])
    ours = [(group, index) for group, index, _ in _ours(groups) if group != but]
    whole = {group for group, _ in ours if _is_wholly_ours(groups[group])}
    for group, index in reversed(ours):
        if group not in whole:
            document.remove(["hooks", event, group, "hooks", index])
    for group in sorted(whole, reverse=True):
        document.remove(["hooks", event, group])
    return len(ours)
