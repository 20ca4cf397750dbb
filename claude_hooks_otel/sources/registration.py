"""Which hook events are registered, which must never be registered, and why.

The plugin's files in ``hooks/``, ``settings.example.json`` and the installer use these tables. The events are those of Claude Code
2.1.332. Standard library only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final


class Registration(StrEnum):
    """Which events are registered: all of ``REGISTERED``, or without those of ``FULL_ONLY``."""

    FULL = "full"
    LIGHT = "light"


REGISTERED: Final[dict[str, str]] = {
    "SessionStart": "a session begins or continues; the daemon is started",
    "UserPromptSubmit": "a turn begins; a prompt was typed, or a background task reported back",
    "PostToolUse": "a tool call succeeded; the only place that knows its duration",
    "PostToolUseFailure": "a tool call failed",
    "PermissionRequest": "the session asks a human, and waits for the answer",
    "PermissionDenied": "auto mode refused a call",
    "SubagentStart": "a sub-agent's turn begins",
    "SubagentStop": "a sub-agent's turn ends",
    "TaskCreated": "a task was created",
    "TaskCompleted": "a task was completed",
    "TeammateIdle": "a teammate has nothing to do",
    "PreCompact": "compaction begins",
    "PostCompact": "compaction ended",
    "PostModelSwitch": "from now on, another model answers",
    "InstructionsLoaded": "an instruction file was loaded",
    "Notification": "the session waits for attention",
    "Stop": "a turn ended",
    "StopFailure": "a turn ended in an API error",
    "SessionEnd": "the client ends; a killed client does not send it",
}

FORBIDDEN: Final[dict[str, str]] = {
    "WorktreeCreate": "a registered hook replaces the client's own creation of worktrees, so an observer would break it",
    "WorktreeRemove": "fires only together with WorktreeCreate",
    "PreModelSwitch": "a hook that times out blocks the switch",
    "MessageDisplay": "it runs synchronously for every piece of text, so it would slow down the display",
    "PreSkillShellCommand": "a hook that fails or times out keeps a skill's command from running (since client 2.1.332)",
    "FileChanged": "its matcher would make the client monitor files",
}

NOT_REGISTERED: Final[dict[str, str]] = {
    "PreToolUse": "it would double the hook processes of a tool call; transcripts contain the calls that never ran",
    "PostToolBatch": "it repeats every input and result of the batch, which transcripts contain too",
    "UserPromptExpansion": "UserPromptSubmit fires for the same prompt",
    "Setup": "it is about the installation of the client, not about the work of a session",
    "Elicitation": "the MCP tool call that it belongs to is measured as a whole",
    "ElicitationResult": "see Elicitation",
    "ConfigChange": "it says nothing about the work of a session",
    "CwdChanged": "every event contains the directory",
    "DirectoryAdded": "it says nothing about the work of a session",
}

# Registered events that come with tool calls, so each call costs a process. Light registration leaves them out: the transcript has the
# calls and how they ended. What it lacks, docs/numbers.md says ("Light registration").
FULL_ONLY: Final = frozenset(
    ("PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionDenied", "Notification")
)

# Every event name of the client.
KNOWN_EVENTS: Final = frozenset((*REGISTERED, *FORBIDDEN, *NOT_REGISTERED))

# The oldest client whose sessions the tests compare. Older ones are read as well as possible, and ``doctor`` names them.
OLDEST_CLIENT: Final = (2, 1, 150)
# Older clients ignore a whole settings file if they do not know one event in it.
FIRST_TOLERANT_CLIENT: Final = (2, 1, 101)
# Registered events that OLDEST_CLIENT does not know. It ignores them in a settings file. But it runs no hook of a plugin's file that
# has an unknown event, so the plugin registers these in a second file.
NEWER_EVENTS: Final = frozenset(("PostModelSwitch",))

# How the registered commands of this version and of earlier ones begin.
_BEGINNINGS: Final = ('{ trap "{ exit 0; } 2>/dev/null" 0; event=', 'trap "exit 0" 0; event=')

# What the commands of light registration set for ``emit``, which writes it into the event.
_LIGHT_MARK: Final = f"registration={Registration.LIGHT}; "

# Seconds. A hook takes milliseconds, so the timeout matters only if the disk hangs. SessionEnd hooks share 1.5 s.
TIMEOUT: Final = 5


# The copy of ``emit`` in the usual home, also if the state is elsewhere. It contains no path of a machine, so settings in a shared project
# work on every machine. It is also the same in all settings files, and the client runs equal commands once. No variable but HOME decides
# what a hook runs.
SETTINGS_EMIT: Final = '"$HOME/.local/state/claude-hooks-otel/emit"'
# Where a wheel puts ``emit`` below the prefix of a Python environment. An organization's hooks run it there, so no user has to run ``install``.
SHARED_EMIT: Final = "share/claude-hooks-otel/emit"
# The command of such a hook: the first ``emit`` that is there, the user's own last. ``emit`` gets its path, next to which the package is.
# No variable of a session can change the path, because the loop sets it.
_FIRST_OF: Final = 'for emit in {places}; do [ ! -r "$emit" ] || break; done; set -- "$emit"; . "$emit"'
_PLACES: Final = re.compile(re.escape(_FIRST_OF).replace(re.escape("{places}"), "(?P<places>.+?)"))


def events_of(registration: Registration) -> tuple[str, ...]:
    """Return the names of the events that a registration has."""
    return tuple(event for event in REGISTERED if registration is Registration.FULL or event not in FULL_ONLY)


def command(event: str, emit: str, registration: Registration = Registration.FULL) -> str:
    """Return the shell command for an event.

    The command exits with 0 and prints nothing, even if the file is missing, unreadable or half written, and even if the environment turns
    on shell tracing (``SHELLOPTS=xtrace``): the trap is set before the file is read, and both are redirected.

    Args:
        event: the name of the hook event.
        emit: the path of ``hooks/emit``, quoted for the shell.
        registration: which events are registered with it. The hook notes it, so that nobody takes the others for lost.
    """
    return _guarded(event, f". {emit}", registration)


def _guarded(event: str, body: str, registration: Registration) -> str:
    noted = _LIGHT_MARK if registration is Registration.LIGHT else ""
    return f'{{ trap "{{ exit 0; }} 2>/dev/null" 0; event={event}; {noted}{body}; }} 2>/dev/null'


def managed_command(event: str, prefixes: Sequence[str], registration: Registration = Registration.FULL) -> str:
    """Return the shell command for an event in an organization's managed settings.

    Args:
        event: the name of the hook event.
        prefixes: where the package may be: absolute paths of Python environments, the first that has it wins.
        registration: which events are registered with it.
    """
    places = [*(shlex.quote(f"{prefix}/{SHARED_EMIT}") for prefix in prefixes), SETTINGS_EMIT]
    return _guarded(event, _FIRST_OF.format(places=" ".join(places)), registration)


def prefixes_of(hook_command: str) -> list[str] | None:
    """Return the prefixes that ``managed_command`` put into a command; None if another function made it."""
    if (found := _PLACES.search(hook_command)) is None:
        return None
    return [place.removesuffix(f"/{SHARED_EMIT}") for place in shlex.split(found["places"])[:-1]]


def registration_of(hook_command: str) -> Registration:
    """Return with which events one of our commands was registered."""
    return Registration.LIGHT if _LIGHT_MARK in hook_command else Registration.FULL


def hook_settings(emit: str, registration: Registration = Registration.FULL) -> dict[str, list[dict[str, Any]]]:
    """Return the object ``hooks`` for ``settings.json`` or a plugin's ``hooks.json``."""
    return {
        event: [{"hooks": [{"type": "command", "command": command(event, emit, registration), "timeout": TIMEOUT}]}]
        for event in events_of(registration)
    }


def managed_hooks(
    prefixes: Sequence[str], registration: Registration = Registration.FULL
) -> dict[str, list[dict[str, Any]]]:
    """Return the object ``hooks`` for an organization's managed settings. The arguments are those of ``managed_command``."""
    return {
        event: [
            {
                "hooks": [
                    {"type": "command", "command": managed_command(event, prefixes, registration), "timeout": TIMEOUT}
                ]
            }
        ]
        for event in events_of(registration)
    }


def plugin_hooks() -> dict[str, dict[str, Any]]:
    """Return the content of the plugin's files in ``hooks/``, by name. Clients that cannot use the second file still use the first."""
    hooks = hook_settings('"${CLAUDE_PLUGIN_ROOT}/hooks/emit"')
    return {
        "hooks.json": {
            "description": "Telemetry of every session: one small shell process per event, nothing else.",
            "hooks": {event: groups for event, groups in hooks.items() if event not in NEWER_EVENTS},
        },
        "newer-events.json": {
            "description": "Events that the oldest supported client does not know.",
            "hooks": {event: groups for event, groups in hooks.items() if event in NEWER_EVENTS},
        },
    }


def settings_hooks(registration: Registration = Registration.FULL) -> dict[str, list[dict[str, Any]]]:
    """Return the object ``hooks`` for a settings file. The hooks run the ``emit`` of the home that they write to."""
    return hook_settings(SETTINGS_EMIT, registration)


def is_ours(hook_command: object) -> bool:
    """Return whether ``command`` made a registered command, in any version and with any path."""
    return isinstance(hook_command, str) and hook_command.startswith(_BEGINNINGS) and "/emit" in hook_command
