"""The table of hook events is complete, and everything made from it is up to date."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.registration import (
    FORBIDDEN,
    FULL_ONLY,
    KNOWN_EVENTS,
    NEWER_EVENTS,
    NOT_REGISTERED,
    REGISTERED,
    TIMEOUT,
    Registration,
)
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
    "PreSkillShellCommand",
]


def test_the_table_has_every_event_of_the_client_once() -> None:
    assert len(CLIENT_EVENTS) == 34
    assert sorted((*REGISTERED, *FORBIDDEN, *NOT_REGISTERED)) == sorted(CLIENT_EVENTS)
    assert set(CLIENT_EVENTS) == KNOWN_EVENTS


def test_every_event_has_a_reason() -> None:
    assert all(reason.strip() for table in (REGISTERED, FORBIDDEN, NOT_REGISTERED) for reason in table.values())


def test_events_that_change_or_slow_the_client_are_forbidden() -> None:
    assert set(FORBIDDEN) == {
        "WorktreeCreate", "WorktreeRemove", "PreModelSwitch", "MessageDisplay", "FileChanged", "PreSkillShellCommand",
    }  # fmt: skip


def plugin() -> Any:
    """Return what the plugin's two files register: the default one, and the one that the manifest names."""
    manifest = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())
    files = [ROOT / "hooks" / "hooks.json", ROOT / manifest["hooks"]]
    return {event: groups for file in files for event, groups in json.loads(file.read_text())["hooks"].items()}


def example() -> Any:
    return json.loads((ROOT / "settings.example.json").read_text())["hooks"]


def test_light_registration_has_every_event_but_those_of_tool_calls_and_permissions() -> None:
    hooks = registration.settings_hooks(Registration.LIGHT)
    assert tuple(hooks) == registration.events_of(Registration.LIGHT)
    assert REGISTERED.keys() - hooks.keys() == FULL_ONLY == {
        "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionDenied", "Notification",
    }  # fmt: skip


@pytest.mark.parametrize("chosen", Registration)
def test_a_command_says_with_which_events_it_was_registered(chosen: Registration) -> None:
    command = registration.command("Stop", registration.SETTINGS_EMIT, chosen)
    assert registration.is_ours(command)
    assert registration.registration_of(command) is chosen


@pytest.mark.parametrize(
    "hooks", [plugin, example, registration.settings_hooks], ids=["plugin", "example", "installer"]
)
def test_hooks_exist_for_exactly_the_registered_events_and_for_no_forbidden_one(hooks: Any) -> None:
    registered = hooks()
    assert set(registered) == set(REGISTERED)
    assert not set(registered) & (set(FORBIDDEN) | set(NOT_REGISTERED))
    for event, groups in registered.items():
        [group] = groups
        [handler] = group["hooks"]
        # Without a matcher, the hook runs for every tool. It is synchronous, because an asynchronous one is killed when a `-p` run ends.
        assert set(group) == {"hooks"}
        assert set(handler) == {"type", "command", "timeout"}
        assert (handler["type"], handler["timeout"]) == ("command", TIMEOUT)
        assert f"event={event};" in handler["command"]


def test_the_files_of_the_plugin_are_up_to_date() -> None:
    assert {file.name: json.loads(file.read_text()) for file in (ROOT / "hooks").glob("*.json")} == (
        registration.plugin_hooks()
    )


def test_the_default_file_of_the_plugin_has_only_events_of_the_oldest_supported_client() -> None:
    """An older client would run none of the file's hooks."""
    hooks = json.loads((ROOT / "hooks" / "hooks.json").read_text())["hooks"]
    assert set(hooks) == set(REGISTERED) - NEWER_EVENTS
    assert set(REGISTERED) > NEWER_EVENTS


def test_a_command_always_ends_with_0_and_silently() -> None:
    """It sets the trap before it reads the hook file, and discards the shell's message about a missing file."""
    for event in REGISTERED:
        assert re.fullmatch(
            r'{ trap "{ exit 0; } 2>/dev/null" 0; event=\w+; \. "[^"]*/emit"; } 2>/dev/null',
            registration.command(event, registration.SETTINGS_EMIT),
        )


@pytest.mark.parametrize(
    "command",
    [
        *(
            registration.command("Stop", emit)
            for emit in (registration.SETTINGS_EMIT, "/opt/x/hooks/emit", "'/a b/hooks/emit'")
        ),
        registration.plugin_hooks()["hooks.json"]["hooks"]["Stop"][0]["hooks"][0]["command"],
    ],
)
def test_our_command_is_recognized_with_any_path(command: str) -> None:
    assert registration.is_ours(command)


@pytest.mark.parametrize(
    "command", ["", "echo /emit", 'trap "exit 0" 0; echo', 'trap "exit 0" 0; event=Stop; . /x/other', None, 3]
)
def test_another_command_is_not_taken_for_ours(command: object) -> None:
    assert not registration.is_ours(command)
