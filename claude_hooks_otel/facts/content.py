"""What was asked, run, read and answered: by default no more of it than how long it was and its digest.

Both witnesses see these texts. For one digest each text has one form: a prompt as it was typed; a tool's input as JSON with sorted
keys, without spaces; its output likewise, or as it is where it is text (an error, or what a sub-agent's transcript keeps).
They can differ all the same: a hook sees the input that the tool ran with (paths made absolute, changes by other hooks), and a
sub-agent's transcript has no more than the text that the model saw. ``content_of`` prefers what the hook saw.
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
from claude_hooks_otel.settings.config import CaptureConfig
from claude_hooks_otel.store.connection import portions

# The witnesses, in the order in which they are believed (and sorted). A transcript tells a call's input and its result on two lines.
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

# The client's tools that run a command line, and the arguments in which its tools for files name one.
_SHELLS: Final = frozenset(("Bash", "PowerShell", "Monitor"))
_PATHS: Final = ("file_path", "notebook_path", "path")
_MCP: Final = "mcp__"

_encode: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class ContentKeeper:
    """Writes the texts that the witnesses come upon.

    Args:
        facts: where they go; the caller holds the transaction.
        capture: which of them are kept as text, too.
    """

    def __init__(self, facts: Facts, capture: CaptureConfig) -> None:
        self._facts = facts
        self._capture = capture

    @cached_property
    def _redact(self) -> SecretRedactor:
        return SecretRedactor()

    def prompt(self, source: str, prompt_id: str, at_ns: int, text: str) -> None:
        """Keeps what somebody asked."""
        self._keep(source, prompt_id, at_ns, [(PROMPT, text)])

    def tool_call(
        self, source: str, tool_use_id: str, at_ns: int, tool: str = "", arguments: Any = None, result: Any = None
    ) -> None:
        """Keeps what a tool was called with and what it answered, as far as the witness knows."""
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


def text_of(value: Any) -> str:
    """The one form of an input or output: text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return _encode(value)


def _call_texts(tool: str, arguments: Any, result: Any) -> Iterator[tuple[str, str]]:
    if result is not None:
        yield OUTPUT, text_of(result)
    if arguments is not None:
        yield INPUT, text_of(arguments)
    if not isinstance(arguments, Mapping):
        return
    if tool in _SHELLS and isinstance(command := arguments.get("command"), str):
        yield COMMAND, command
    if not tool.startswith(_MCP):
        path = next((path for name in _PATHS if isinstance(path := arguments.get(name), str)), None)
        if path is not None:
            yield PATH, path


def contents(facts: Facts, owner_ids: Iterable[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The texts of these prompts and tool calls: (owner's id, kind, ``length``, ``sha256`` and perhaps ``text``).

    Each kind of an owner's comes once: the hook's before the transcript's, the first before later ones.
    """
    for some in portions(sorted(set(owner_ids))):
        marks = ", ".join("?" * len(some))
        seen: set[tuple[str, str]] = set()
        for content in facts.select(model.Content, f"owner_id IN ({marks}) ORDER BY owner_id, source, at_ns", *some):
            for kind, described in json.loads(content.texts or "{}").items():
                if (content.owner_id, kind) not in seen:
                    seen.add((content.owner_id, kind))
                    yield content.owner_id, kind, described
