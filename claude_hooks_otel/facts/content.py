"""Prompts, commands, paths, inputs and outputs: by default only their length and digest.

Hooks and transcripts both have these texts. Each text has one form, so that both give the same digest: a prompt as it was typed, a
tool's input as JSON with sorted keys and without spaces, its output likewise, or as it is if it is a text (an error, or what a
sub-agent's transcript keeps). The texts can still differ: a hook sees the input that the tool ran with (absolute paths, changes by
other hooks), and a sub-agent's transcript has only the text that the model saw. ``content_of`` prefers the hook's.
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

# The sources, the preferred one first (they are sorted). A transcript has a call's input and its result on two lines.
HOOK: Final = "hook"
TRANSCRIPT: Final = "transcript"
TRANSCRIPT_RESULT: Final = "transcript.result"

# The kinds of text, and the switch of ``[capture]`` that shows each.
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

# The client's tools that run a command line, and the arguments of its tools for files that name a file.
_SHELLS: Final = frozenset(("Bash", "PowerShell", "Monitor"))
_PATHS: Final = ("file_path", "notebook_path", "path")
_MCP: Final = "mcp__"

_encode: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class ContentKeeper:
    """Keeps the texts that the sources have.

    Args:
        facts: where they go; the caller holds the transaction.
        capture: which kinds are also kept as text.
    """

    def __init__(self, facts: Facts, capture: CaptureConfig) -> None:
        self._facts = facts
        self._capture = capture

    @cached_property
    def _redact(self) -> SecretRedactor:
        return SecretRedactor()

    def prompt(self, source: str, prompt_id: str, at_ns: int, text: str) -> None:
        """Keeps the text of a prompt."""
        self._keep(source, prompt_id, at_ns, [(PROMPT, text)])

    def tool_call(
        self, source: str, tool_use_id: str, at_ns: int, tool: str = "", arguments: Any = None, result: Any = None
    ) -> None:
        """Keeps the input and the output of a tool call. A source may have only one of them."""
        self._keep(source, tool_use_id, at_ns, _call_texts(tool, arguments, result))

    def _keep(self, source: str, owner_id: str, at_ns: int, texts: Iterable[tuple[str, str]]) -> None:
        kept = {kind: self._described(kind, text) for kind, text in texts}
        if kept:
            self._facts.upsert(model.Content(owner_id=owner_id, source=source, at_ns=at_ns, texts=_encode(kept)))

    def _described(self, kind: str, text: str) -> dict[str, Any]:
        whole = text.encode("utf-8", "replace")  # lone surrogates, which JSON can hold, become question marks
        described = {"length": len(text), "sha256": hashlib.sha256(whole).hexdigest()}
        if getattr(self._capture, SWITCHES[kind]):
            described["text"] = self._redact(whole.decode(), self._capture.max_characters)
        return described


def _text_of(value: Any) -> str:
    """Returns the one form of an input or output: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return _encode(value)


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
    """Yields the texts of prompts and tool calls as (owner's id, kind, ``length`` and ``sha256`` and perhaps ``text``).

    Each kind of an owner comes once: the hook's precedes the transcript's, the first precedes later ones.
    """
    for some in portions(sorted(set(owner_ids))):
        marks = ", ".join("?" * len(some))
        seen: set[tuple[str, str]] = set()
        for content in facts.select(model.Content, f"owner_id IN ({marks}) ORDER BY owner_id, source, at_ns", *some):
            for kind, described in json.loads(content.texts or "{}").items():
                if (content.owner_id, kind) not in seen:
                    seen.add((content.owner_id, kind))
                    yield content.owner_id, kind, described
