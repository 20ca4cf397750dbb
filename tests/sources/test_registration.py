"""The one table of hook events, and that everything made from it holds the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.registration import FORBIDDEN, KNOWN_EVENTS, NOT_REGISTERED, REGISTERED, TIMEOUT
from tests.support.places import ROOT

# Every event name that Claude Code 2.1.330 knows (its SDK's HOOK_EVENTS).
CLIENT_EVENTS = [
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "Notification",
    "UserPromptSubmit",
    "UserPromptExpansion",
    "SessionStart",
    "SessionEnd",
    "Stop",
    "StopFailure",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "PreModelSwitch",
    "PostModelSwitch",
    "PermissionRequest",
    "PermissionDenied",
    "Setup",
    "TeammateIdle",
    "TaskCreated",
    "TaskCompleted",
    "Elicitation",
    "ElicitationResult",
    "ConfigChange",
    "WorktreeCreate",
    "WorktreeRemove",
    "InstructionsLoaded",
    "CwdChanged",
    "FileChanged",
    "DirectoryAdded",
    "MessageDisplay",
]


def test_every_event_of_the_client_is_in_the_table_once() -> None:
    assert len(CLIENT_EVENTS) == 33
    assert sorted((*REGISTERED, *FORBIDDEN, *NOT_REGISTERED)) == sorted(CLIENT_EVENTS)
    assert set(CLIENT_EVENTS) == KNOWN_EVENTS


def test_every_event_has_its_reason() -> None:
    assert all(reason.strip() for table in (REGISTERED, FORBIDDEN, NOT_REGISTERED) for reason in table.values())


def test_events_that_change_or_slow_the_client_are_forbidden() -> None:
    assert set(FORBIDDEN) == {"WorktreeCreate", "WorktreeRemove", "PreModelSwitch", "MessageDisplay", "FileChanged"}


def plugin() -> Any:
    return json.loads((ROOT / "hooks" / "hooks.json").read_text())["hooks"]


def example() -> Any:
    return json.loads((ROOT / "settings.example.json").read_text())["hooks"]


@pytest.mark.parametrize(
    "hooks", [plugin, example, registration.settings_hooks], ids=["plugin", "example", "installer"]
)
def test_exactly_the_registered_events_are_hooked_and_never_a_forbidden_one(hooks: Any) -> None:
    registered = hooks()
    assert set(registered) == set(REGISTERED)
    assert not set(registered) & (set(FORBIDDEN) | set(NOT_REGISTERED))
    for event, groups in registered.items():
        [group] = groups
        [handler] = group["hooks"]
        # No matcher: every tool. Synchronous: an asynchronous hook is killed when a `-p` run ends, and arrives out of order.
        assert set(group) == {"hooks"}
        assert set(handler) == {"type", "command", "timeout"}
        assert (handler["type"], handler["timeout"]) == ("command", TIMEOUT)
        assert f"event={event};" in handler["command"]


def test_the_plugin_file_is_the_one_made_from_the_table() -> None:
    assert json.loads((ROOT / "hooks" / "hooks.json").read_text()) == registration.plugin_hooks()


def test_a_command_cannot_end_otherwise_than_well_and_silently() -> None:
    """The trap is set before anything else is read, and the shell's own complaint about a missing file goes nowhere."""
    for event in REGISTERED:
        assert re.fullmatch(
            r'trap "exit 0" 0; event=\w+; \. "[^"]*/emit" 2>/dev/null',
            registration.command(event, registration.SETTINGS_EMIT),
        )


@pytest.mark.parametrize(
    "command",
    [
        *(
            registration.command("Stop", emit)
            for emit in (registration.SETTINGS_EMIT, "/opt/x/hooks/emit", "'/a b/hooks/emit'")
        ),
        registration.plugin_hooks()["hooks"]["Stop"][0]["hooks"][0]["command"],
    ],
)
def test_a_command_of_ours_is_known_whatever_its_path(command: str) -> None:
    assert registration.is_ours(command)


@pytest.mark.parametrize(
    "command", ["", "echo /emit", 'trap "exit 0" 0; echo', 'trap "exit 0" 0; event=Stop; . /x/other', None, 3]
)
def test_a_command_of_others_is_not_ours(command: object) -> None:
    assert not registration.is_ours(command)
