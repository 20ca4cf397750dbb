"""Prompts, commands, paths, inputs and outputs. By default only their length and digest are kept.

Hooks and transcripts both have these texts. Each text has one form, so that both give the same digest: a prompt is kept as it was typed,
a text as it is, any other input or output as JSON with sorted keys and without spaces.

The texts can still differ. A hook sees the input that the tool ran with (absolute paths, changes by other hooks). A sub-agent's
transcript has only the text that the model saw. ``contents`` prefers the hook's text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.facts.secret_redaction import SecretRedactor
from claude_hooks_otel.settings import CaptureConfig
from claude_hooks_otel.store.connection import portions

# The sources. ``contents`` sorts by them, so the preferred one comes first. A transcript has input and result on two lines.
HOOK: Final = "hook"
TRANSCRIPT: Final = "transcript"
TRANSCRIPT_RESULT: Final = "transcript.result"

# The kinds of text, and the option of ``[capture]`` that keeps each as text.
PROMPT: Final = "prompt"
COMMAND: Final = "command"
PATH: Final = "path"
INPUT: Final = "input"
OUTPUT: Final = "output"
SWITCHES: Final[Mapping[str, str]] = {
    PROMPT: "prompts",
    COMMAND: "commands",
    PATH: "paths",
    INPUT: "tool_output",
    OUTPUT: "tool_output",
}

# The client's tools that run a command line, and the arguments with which its tools name a file.
_SHELLS: Final = frozenset(("Bash", "PowerShell", "Monitor"))
_PATHS: Final = ("file_path", "notebook_path", "path")
_MCP: Final = "mcp__"

_encode: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class ContentKeeper:
    """Keeps the texts of prompts and tool calls, inside the caller's transaction.

    Args:
        facts: gets the texts as facts.
        capture: says which kinds are kept as text.
    """

    def __init__(self, facts: Facts, capture: CaptureConfig) -> None:
        self._facts = facts
        self._capture = capture

    @cached_property
    def _redact(self) -> SecretRedactor:
        return SecretRedactor()

    def prompt(self, source: str, prompt_id: str, at_ns: int, text: str) -> None:
        """Keep the text of a prompt."""
        self._keep(source, prompt_id, at_ns, [(PROMPT, text)])

    def tool_call(
        self, source: str, tool_use_id: str, at_ns: int, tool: str = "", arguments: Any = None, result: Any = None
    ) -> None:
        """Keep the input and the output of a tool call. A source may have only one of them."""
        self._keep(source, tool_use_id, at_ns, _call_texts(tool, arguments, result))

    def _keep(self, source: str, owner_id: str, at_ns: int, texts: Iterable[tuple[str, str]]) -> None:
        kept = {kind: self._described(kind, text) for kind, text in texts}
        if kept:
            self._facts.upsert(model.Content(owner_id=owner_id, source=source, at_ns=at_ns, texts=_encode(kept)))

    def _described(self, kind: str, text: str) -> dict[str, Any]:
        whole = text.encode("utf-8", "replace")  # JSON can contain lone surrogates, which become question marks
        described = {"length": len(text), "sha256": hashlib.sha256(whole).hexdigest()}
        if getattr(self._capture, SWITCHES[kind]):
            described["text"] = self._redact(whole.decode(), self._capture.max_characters)
        return described


def _text_of(value: Any) -> str:
    """Return the one form of an input or output: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else _encode(value)


def _call_texts(tool: str, arguments: Any, result: Any) -> Iterator[tuple[str, str]]:
    if result is not None:
        yield OUTPUT, _text_of(result)
    if arguments is not None:
        yield INPUT, _text_of(arguments)
    if not isinstance(arguments, Mapping):
        return
    if tool in _SHELLS and isinstance(command := arguments.get("command"), str):
        yield COMMAND, command
    if not tool.startswith(_MCP):
        path = next((path for name in _PATHS if isinstance(path := arguments.get(name), str)), None)
        if path is not None:
            yield PATH, path


def contents(facts: Facts, owner_ids: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the texts of prompts and tool calls as (owner's id, kind, description).

    The description has ``length`` and ``sha256``, and ``text`` if it was kept. Each kind of an owner comes once. The hook's text is
    preferred to the transcript's, and the first text to later ones.
    """
    for portion in portions(sorted(set(owner_ids))):
        marks = ", ".join("?" * len(portion))
        seen: set[tuple[str, str]] = set()
        for content in facts.select(model.Content, f"owner_id IN ({marks}) ORDER BY owner_id, source, at_ns", *portion):
            for kind, described in json.loads(content.texts or "{}").items():
                if (content.owner_id, kind) not in seen:
                    seen.add((content.owner_id, kind))
                    yield content.owner_id, kind, described
