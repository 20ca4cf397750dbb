"""The files that a finished tool call changed or read, and the changed lines as ``git diff --numstat`` counts them.

The counts come from the two texts that the client reports. Two things are missing there. The client shows CRLF as LF, so a call that
also changes line endings counts fewer lines than git. And a UTF-16 file is binary to git, but the client shows its text: see
`binary_files`.
"""

from __future__ import annotations

import functools
import os.path
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from claude_hooks_otel.tool_effects.line_diff import lines_of, numstat
from claude_hooks_otel.tool_effects.renames import PatchedFile, pair_renames
from claude_hooks_otel.tool_effects.values import mapping, name_digest, sequence, text

_OTHER = "other"
# Files without an extension whose name is their type.
_NAMED_TYPES = frozenset(
    {
        ".bashrc", ".dockerignore", ".editorconfig", ".env", ".gitattributes", ".gitignore", ".gitmodules", ".npmrc", ".zshrc",
        "containerfile", "dockerfile", "gemfile", "jenkinsfile", "justfile", "makefile", "procfile", "rakefile", "vagrantfile",
    }
)  # fmt: skip
_EXTENSION = re.compile(r"(?=.*[a-z])[a-z0-9_+-]{1,16}")  # digits alone are a version or a date
# What the model sees after a success.
_SUCCESS_TEXT = re.compile(
    r"(?P<created>File created successfully)|The file .* has been updated|(?:Updated|Inserted|Deleted) cell ", re.DOTALL
)
_READ_TEXT = re.compile(r"\s*\d+\t|<system-reminder>|<cell ")


@dataclass(frozen=True, slots=True)
class FileChange:
    """What one tool call did to one file.

    Attributes:
        file_type: the extension in lower case (``py``), a name that is a type (``dockerfile``), or ``other``.
        added: added lines, as ``git diff --numstat`` counts them.
        deleted: deleted lines, as ``git diff --numstat`` counts them.
        path_digest: the `path_digest` of the file. It identifies the file without its path.
    """

    file_type: str
    added: int
    deleted: int
    path_digest: str


def file_changes(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> list[FileChange]:
    """Return the files that a finished call of Edit, MultiEdit, Write, NotebookEdit or Bash changed.

    The changes of a Bash call are known only if the client reports them (``bashEditDiff``). If another Bash call ran at the same
    time, the report has the changes of both (``shared``) and counts for neither.

    Args:
        tool_name: the tool.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse, or the transcript's ``toolUseResult``. For a failed call that is a text. For
            a call in a sub-agent's transcript, pass the text of the ``tool_result`` block. The counts then come from the input
            alone: a replacement counts once even if it was made several times, an overwritten file or notebook counts no lines.
        cwd: the session's folder, for relative paths.
    """
    if tool_name not in _CHANGING_TOOLS:
        return []
    asked, response = mapping(tool_input), mapping(tool_response)
    path = _path(asked, response)
    changes: Iterable[tuple[str, tuple[int, int] | None]] = []
    if tool_name == "Bash":
        changes = _bash(response)
    elif isinstance(tool_response, str):
        changes = [(path, _shown_as_text(tool_name, asked, tool_response))]
    elif isinstance(tool_response, Mapping) and (reader := _READERS.get(tool_name)):
        changes = [(path, reader(asked, response))]
    return [FileChange(file_type(path), *counts, path_digest(path, cwd)) for path, counts in changes if path and counts]


def file_read(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> str | None:
    """Return the path digest of the file that a successful Read read; None otherwise. The arguments are those of `file_changes`."""
    if tool_name != "Read":
        return None
    if isinstance(tool_response, str):
        succeeded = _READ_TEXT.match(tool_response) is not None
    else:
        succeeded = isinstance(tool_response, Mapping | list) and bool(tool_response)
    path = _path(mapping(tool_input), mapping(mapping(tool_response).get("file")))
    return path_digest(path, cwd) if path and succeeded else None


def file_type(path: str) -> str:
    """Return the type of a file: one short word."""
    name = re.split(r"[/\\]", path)[-1].lower()
    if name in _NAMED_TYPES:
        return name.lstrip(".")
    extension = PurePosixPath(name).suffix.removeprefix(".")
    return extension if _EXTENSION.fullmatch(extension) else _OTHER


@functools.lru_cache(maxsize=1024)  # a session reads and writes the same files again and again
def path_digest(path: str, cwd: str | None = None) -> str:
    """Return the digest of the absolute path. Hooks have absolute paths, transcripts the path that the model wrote."""
    if path.startswith("~/"):
        path = f"{Path.home()}{path[1:]}"
    return name_digest(os.path.normpath(os.path.join(cwd or "/", path)))  # noqa: PTH118 -- one string operation


def _path(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    names = [
        holder.get(name) for holder in (tool_input, response) for name in ("file_path", "filePath", "notebook_path")
    ]
    return next(filter(None, map(text, names)), "")


# The next four return the lines (added, deleted) of a call; None if it changed nothing.


def _shown_as_text(tool_name: str, tool_input: Mapping[str, Any], shown: str) -> tuple[int, int] | None:
    """Read a call of which only the text for the model was kept."""
    success = _SUCCESS_TEXT.match(shown)
    if success is None:
        return None
    edits: list[tuple[str, str]] = []
    if tool_name == "Write" and success["created"]:
        edits = [("", text(tool_input.get("content")) or "")]
    elif tool_name in {"Edit", "MultiEdit"}:
        edits = [(old, new) for old, new, _ in _edits(tool_input, {})]
    counts = [numstat(old, new) or (0, 0) for old, new in edits]
    return sum(added for added, _ in counts), sum(deleted for _, deleted in counts)


def _edit(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[int, int] | None:
    before = text(response.get("originalFile", response.get("originalFileContents")))
    hunks = _hunks(response.get("structuredPatch"))
    edits = _edits(tool_input, response)
    after = None if before is None or response.get("userModified") is True else _replay(before, edits)
    creates = not before and bool(edits) and not edits[0][0]
    return _counts(before, after, hunks) if creates or before != after or hunks else None


def _write(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[int, int] | None:
    after = text(response.get("content", tool_input.get("content")))
    before = text(response.get("originalFile"))
    if after is not None and response.get("type") == "create":
        return _counts("", after, [])
    return None if after in (None, before) else _counts(before, after, _hunks(response.get("structuredPatch")))


def _notebook_edit(_: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[int, int] | None:
    before, after = text(response.get("original_file")), text(response.get("updated_file"))
    if None in (before, after) or before == after or response.get("error"):
        return None
    return _counts(before, after, [])


def _bash(response: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the changed files of a Bash call, each with its lines (added, deleted)."""
    diff = mapping(response.get("bashEditDiff"))
    if diff.get("shared") is True:
        return
    files = [
        PatchedFile(path, _hunks(file.get("hunks")), file.get("created") is True, file.get("deleted") is True)
        for file in map(mapping, sequence(diff.get("files")))
        if (path := text(file.get("filePath")))
    ]
    renames, others = pair_renames(files)
    for path, before, after in renames:
        yield path, _counts(before, after, [])
    for file in others:
        yield file.path, _patch_counts(file.hunks)


_READERS = {"Edit": _edit, "MultiEdit": _edit, "Write": _write, "NotebookEdit": _notebook_edit}
_CHANGING_TOOLS = {"Bash", *_READERS}


def _replay(before: str, edits: Iterable[tuple[str, str, bool]]) -> str:
    """Return the text after edits, as the client makes them."""
    after = before
    for old, new, every in edits:
        if not old:
            after = new
            continue
        # An edit that deletes the whole text of a line deletes the line.
        found = f"{old}\n" if not new and not old.endswith("\n") and f"{old}\n" in after else old
        after = after.replace(found, new, -1 if every else 1)
    return after


def _edits(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return the replacements (old, new, everywhere) of a call. The client's report is preferred to what the model asked for."""
    several = sequence(response.get("edits")) or sequence(tool_input.get("edits"))
    single = {
        asked: response.get(found, tool_input.get(asked))
        for found, asked in (("oldString", "old_string"), ("newString", "new_string"), ("replaceAll", "replace_all"))
    }
    return [
        (old, new, edit.get("replace_all") is True)
        for edit in map(mapping, several or [single])
        if isinstance(old := edit.get("old_string"), str) and isinstance(new := edit.get("new_string"), str)
    ]


def _counts(before: str | None, after: str | None, hunks: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the lines (added, deleted) between two texts. If a text is unknown or the search takes too long, the patch counts."""
    patched = _patch_counts(hunks)
    if before is None or after is None:
        return patched
    new, old = len(lines_of(after)), len(lines_of(before))
    if hunks and new - old != patched[0] - patched[1]:
        return patched  # the replayed text is not what the client wrote
    return numstat(before, after) or (patched if hunks else (new, old))


def _patch_counts(hunks: Iterable[Sequence[str]]) -> tuple[int, int]:
    signs = [line[:1] for lines in hunks for line in lines]
    return signs.count("+"), signs.count("-")


def _hunks(value: Any) -> list[list[str]]:
    """Return the lines of each hunk of a ``structuredPatch``, with their signs."""
    return [
        [line for line in sequence(mapping(hunk).get("lines")) if isinstance(line, str)] for hunk in sequence(value)
    ]
