"""Texts of a recorded session that must never leave the machine, and names that traces may have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.corpus import Scenario

# Inputs of tools that are also values of bounded labels: a skill, an agent's type.
KNOWN_NAMES = {"reviewing", "general-purpose"}
# Words of our labels, descriptions and outcomes that outputs of tools contain too.
_OUR_WORDS = {"completed", "committed", "cherry-picked", "notebook", "metadata", "in_progress"}
# Identifiers that traces have on purpose.
_NAMED_BY_ID = ("session_id", "prompt_id", "agent_id", "tool_use_id")
# Fields with values of bounded sets that outputs of tools contain too, for instance in a list of tools.
_NAMES = ("tool_name", "agent_type", "hook_event_name")
# Characters. Shorter texts are words such as "done" or "ls", which any request may contain.
SHORTEST = 8


def asked(scenario: Scenario) -> Iterator[str]:
    """Yield every prompt, path, command, identifier and e-mail address of the scenario's events."""
    for hook in scenario.hooks:
        fields = hook.fields
        yield from (str(fields[name]) for name in _NAMED_BY_ID if fields.get(name))
        yield from (str(fields[name]) for name in ("cwd", "transcript_path", "prompt", "file_path") if fields.get(name))
        yield from str(fields.get("prompt", "")).splitlines()
        tool_input = fields.get("tool_input")
        for name, value in (tool_input if isinstance(tool_input, dict) else {}).items():
            if isinstance(value, str) and name not in {"subagent_type", "skill", "status", "taskId", "model"}:
                yield value
                yield from value.splitlines()
        yield from re.findall(r"[\w.+-]+@[\w-]+\.[\w.]+", json.dumps(fields))


def answered(scenario: Scenario) -> Iterator[str]:
    """Yield every text in a tool's response or the model's last message, as a whole and line by line."""
    for hook in scenario.hooks:
        yield from _printed(hook.fields.get("tool_response"))
        yield from _printed(hook.fields.get("last_assistant_message"))


def not_private_in_traces(scenario: Scenario) -> set[str]:
    """Return identifiers, names and branches. They are no content, although an output or a command may contain them."""
    fields = [hook.fields for hook in scenario.hooks]
    found = {str(one[name]) for one in fields for name in (*_NAMED_BY_ID, *_NAMES) if one.get(name)}
    for events in scenario.truth["sessions"].values():
        found |= {request["model"] for request in events.get("api_request", [])}
    for name in scenario.transcript_names:
        found |= {str(line["gitBranch"]) for line in scenario.transcript(name) if line.get("gitBranch")}
    return found | KNOWN_NAMES | _OUR_WORDS


def leaked(texts: Iterator[str], wire: bytes) -> set[str]:
    """Return the texts that are in the bytes."""
    return {text for text in set(texts) if len(text) >= SHORTEST and text.encode() in wire}


def _printed(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from value.splitlines()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _printed(part)
