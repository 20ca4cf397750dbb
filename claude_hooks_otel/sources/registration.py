"""Which hook events are registered, which must never be, and why: the one table that everything else is held against.

``hooks/hooks.json`` (plugin), ``settings.example.json`` and the installer are all made from it. Event names and facts are those
of Claude Code 2.1.330. Standard library only.
"""

from __future__ import annotations

from typing import Any, Final

REGISTERED: Final[dict[str, str]] = {
    "SessionStart": "a session begins or goes on; the daemon is started",
    "UserPromptSubmit": "a turn begins; a prompt was typed, or a background task reported back",
    "PostToolUse": "a tool call succeeded; the only place that knows its duration",
    "PostToolUseFailure": "a tool call failed",
    "PermissionRequest": "the session asks its human; waiting begins",
    "PermissionDenied": "auto mode refused a call",
    "SubagentStart": "a sub-agent's turn begins",
    "SubagentStop": "a sub-agent's turn ends",
    "TaskCreated": "a task came into being",
    "TaskCompleted": "a task was completed",
    "TeammateIdle": "a teammate has nothing to do",
    "PreCompact": "compaction begins",
    "PostCompact": "compaction ended",
    "PostModelSwitch": "another model answers from here on",
    "InstructionsLoaded": "an instruction file was loaded",
    "Notification": "the session waits for attention",
    "Stop": "a turn ended",
    "StopFailure": "a turn ended in an API error",
    "SessionEnd": "the client says goodbye (a hint: a killed client says nothing)",
}

FORBIDDEN: Final[dict[str, str]] = {
    "WorktreeCreate": "a registered hook replaces the client's own worktree making: an observer breaks it",
    "WorktreeRemove": "fires only together with WorktreeCreate",
    "PreModelSwitch": "a hook that times out blocks the switch",
    "MessageDisplay": "synchronous for every piece of text shown: it slows the display",
    "FileChanged": "its matcher makes the client watch files, which it otherwise would not",
}

NOT_REGISTERED: Final[dict[str, str]] = {
    "PreToolUse": "would double the hook processes per tool call; the transcript knows the calls that never ran",
    "PostToolBatch": "repeats every input and result of the batch; the transcript holds the same",
    "UserPromptExpansion": "UserPromptSubmit fires for the same prompt",
    "Setup": "concerns the client's own installation, no session's work",
    "Elicitation": "the MCP tool call it belongs to is measured as a whole",
    "ElicitationResult": "as Elicitation",
    "ConfigChange": "says nothing about work done",
    "CwdChanged": "every event carries the directory",
    "DirectoryAdded": "says nothing about work done",
}

# Every event name of the client.
KNOWN_EVENTS: Final = frozenset((*REGISTERED, *FORBIDDEN, *NOT_REGISTERED))

# Seconds. A hook takes milliseconds; the bound only matters if the disk hangs. SessionEnd hooks share 1.5 s anyhow.
TIMEOUT: Final = 5


# The copy of ``emit`` in the home, as ``paths.Home`` finds it. No path of one machine: settings that a project shares work for
# everybody who has it installed, and the client, which runs equal commands of several settings files once, sees them as equal.
SETTINGS_EMIT: Final = '"${CLAUDE_HOOKS_OTEL_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/claude-hooks-otel}/emit"'


def command(event: str, emit: str) -> str:
    """The shell command registered for ``event``; ``emit`` is the path of ``hooks/emit`` as the shell should see it, quoted.

    It ends with exit code 0 and silence also when the file is gone, unreadable or half written: the trap is set before it is read.
    """
    return f'trap "exit 0" 0; event={event}; . {emit} 2>/dev/null'


def hook_settings(emit: str) -> dict[str, list[dict[str, Any]]]:
    """The ``hooks`` object, for ``settings.json`` or a plugin's ``hooks.json``."""
    return {
        event: [{"hooks": [{"type": "command", "command": command(event, emit), "timeout": TIMEOUT}]}]
        for event in REGISTERED
    }


def plugin_hooks() -> dict[str, Any]:
    """The content of ``hooks/hooks.json``."""
    return {
        "description": "Telemetry of every session: one small shell process per event, nothing else.",
        "hooks": hook_settings('"${CLAUDE_PLUGIN_ROOT}/hooks/emit"'),
    }


def settings_hooks() -> dict[str, list[dict[str, Any]]]:
    """The ``hooks`` object for a settings file: ``emit`` is looked for in the home that it will write to."""
    return hook_settings(SETTINGS_EMIT)


def is_ours(hook_command: object) -> bool:
    """Whether a registered command is one that ``command`` made, of whatever version and path."""
    return (
        isinstance(hook_command, str) and hook_command.startswith('trap "exit 0" 0; event=') and "/emit" in hook_command
    )
