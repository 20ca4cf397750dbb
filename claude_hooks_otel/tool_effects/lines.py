"""Which files a finished tool call changed or read, and by how many lines, as ``git diff --numstat`` counts them.

The counts come from the two texts that the client reports. The reports lack a file's line endings (the client shows CRLF as LF, so
a call that also changes endings counts fewer lines than git) and the encoding of a UTF-16 file, which is binary to git.
"""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from claude_hooks_otel.tool_effects.line_diff import lines_of, numstat
from claude_hooks_otel.tool_effects.renames import PatchedFile, pair_renames

_OTHER = "other"
# Files without an extension whose name states their type.
_NAMED_TYPES = frozenset(
    {
        ".bashrc", ".dockerignore", ".editorconfig", ".env", ".gitattributes", ".gitignore", ".gitmodules", ".npmrc", ".zshrc",
        "containerfile", "dockerfile", "gemfile", "jenkinsfile", "justfile", "makefile", "procfile", "rakefile", "vagrantfile",
    }
)  # fmt: skip
_EXTENSION = re.compile(r"(?=.*[a-z])[a-z0-9_+-]{1,16}")  # a number alone is a version or a date
# The client's texts for the model after a success.
_SUCCESS_TEXT = re.compile(
    r"(?P<created>File created successfully)|The file .* has been updated|(?:Updated|Inserted|Deleted) cell ", re.DOTALL
)
_READ_TEXT = re.compile(r"\s*\d+\t|<system-reminder>|<cell ")


@dataclass(frozen=True, slots=True)
class FileChange:
    """What one tool call did to one file.

    Attributes:
        file_type: the extension in lower case (``py``), the name of a file known by it (``dockerfile``), else ``other``.
        added: lines, as ``git diff --numstat`` counts them.
        deleted: lines, likewise.
        path_digest: 16 hex digits of the SHA-256 of the absolute path. It identifies the file without its path.
    """

    file_type: str
    added: int
    deleted: int
    path_digest: str


def file_changes(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> list[FileChange]:
    """Return the files that a finished Edit, MultiEdit, Write, NotebookEdit or Bash changed, without those left as they were.

    A Bash call shows its changes only where the client reports them (``bashEditDiff``). If another Bash call ran at the same time,
    the report has the changes of both (``shared``) and counts for neither.

    Args:
        tool_name: the tool.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse, or the transcript's ``toolUseResult``. A failed call has a text there. A
            sub-agent's transcript has none: pass the text of its ``tool_result`` block. The counts then come from the input
            alone: a replacement counts once wherever else it was made, an overwritten file or notebook counts no lines.
        cwd: the session's folder, to which a path may be relative.
    """
    asked = _mapping(tool_input)
    if isinstance(tool_response, str):
        return list(_reported_as_text(tool_name, asked, tool_response, cwd))
    reader = _READERS.get(tool_name)
    return list(reader(asked, tool_response, cwd)) if reader and isinstance(tool_response, Mapping) else []


def file_read(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> str | None:
    """Return the path digest of the file that a successful Read read, else None. Arguments as for `file_changes`."""
    if tool_name != "Read":
        return None
    if isinstance(tool_response, str):
        succeeded = _READ_TEXT.match(tool_response) is not None
    else:
        succeeded = isinstance(tool_response, Mapping | list) and bool(tool_response)
    file = _mapping(_mapping(tool_response).get("file"))
    path = _text(_mapping(tool_input).get("file_path")) or _text(file.get("filePath"))
    return path_digest(path, cwd) if path and succeeded else None


def file_type(path: str) -> str:
    """Return a short, bounded word for the type of a file."""
    name = re.split(r"[/\\]", path)[-1].lower()
    if name in _NAMED_TYPES:
        return name.lstrip(".")
    extension = PurePosixPath(name).suffix.removeprefix(".")
    return extension if _EXTENSION.fullmatch(extension) else _OTHER


def path_digest(path: str, cwd: str | None = None) -> str:
    """Return 16 hex digits of the SHA-256 of the absolute path. Hooks have absolute paths, transcripts what the model wrote."""
    if path.startswith("~/"):
        path = f"{Path.home()}{path[1:]}"
    absolute = os.path.normpath(PurePosixPath(cwd or "/", path))
    return hashlib.sha256(absolute.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _reported_as_text(
    tool_name: str, tool_input: Mapping[str, Any], text: str, cwd: str | None
) -> Iterator[FileChange]:
    """Yield the change behind the text that the model saw, where nothing else of the response was kept."""
    path = _text(tool_input.get("file_path")) or _text(tool_input.get("notebook_path"))
    success = _SUCCESS_TEXT.match(text)
    if path is None or success is None:
        return
    edits: list[tuple[str, str]] = []
    if tool_name == "Write" and success["created"]:
        edits = [("", _text(tool_input.get("content")) or "")]
    elif tool_name in {"Edit", "MultiEdit"}:
        edits = [(old, new) for old, new, _ in _edits(tool_input, {})]
    counts = [numstat(old, new) or (0, 0) for old, new in edits]
    yield _change(path, cwd, (sum(added for added, _ in counts), sum(deleted for _, deleted in counts)))


def _change(path: str, cwd: str | None, counts: tuple[int, int]) -> FileChange:
    return FileChange(file_type(path), *counts, path_digest(path, cwd))


def _edit(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("file_path")) or _text(response.get("filePath"))
    before = _text(response.get("originalFile", response.get("originalFileContents")))
    hunks = _hunks(response.get("structuredPatch"))
    edits = _edits(tool_input, response)
    after = None if before is None or response.get("userModified") is True else _replay(before, edits)
    creates = not before and bool(edits) and not edits[0][0]
    if path and (creates or before != after or hunks):
        yield _change(path, cwd, _counts(before, after, hunks))


def _write(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("file_path")) or _text(response.get("filePath"))
    after = _text(response.get("content", tool_input.get("content")))
    before = _text(response.get("originalFile"))
    if path is None or after is None:
        return
    if response.get("type") == "create":
        yield _change(path, cwd, _counts("", after, []))
    elif before != after:
        yield _change(path, cwd, _counts(before, after, _hunks(response.get("structuredPatch"))))


def _notebook_edit(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("notebook_path")) or _text(response.get("notebook_path"))
    before, after = _text(response.get("original_file")), _text(response.get("updated_file"))
    if path and before is not None and after is not None and before != after and not response.get("error"):
        yield _change(path, cwd, _counts(before, after, []))


def _bash(_: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    diff = _mapping(response.get("bashEditDiff"))
    if diff.get("shared") is True:
        return
    files = [
        PatchedFile(path, _hunks(file.get("hunks")), file.get("created") is True, file.get("deleted") is True)
        for file in map(_mapping, _list(diff.get("files")))
        if (path := _text(file.get("filePath")))
    ]
    renames, others = pair_renames(files)
    for rename in renames:
        yield _change(rename.path, cwd, _counts(rename.before, rename.after, []))
    for file in others:
        yield _change(file.path, cwd, _patch_counts(file.hunks))


_READERS = {"Edit": _edit, "MultiEdit": _edit, "Write": _write, "NotebookEdit": _notebook_edit, "Bash": _bash}


def _replay(before: str, edits: Iterable[tuple[str, str, bool]]) -> str:
    """Return a text with edits made as the client makes them."""
    text = before
    for old, new, every in edits:
        if not old:
            text = new
            continue
        # If the whole text of a line goes, the line goes.
        found = f"{old}\n" if not new and not old.endswith("\n") and f"{old}\n" in text else old
        text = text.replace(found, new, -1 if every else 1)
    return text


def _edits(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return the replacements (old, new, everywhere) of a call. What the client found in the file precedes what the model asked."""
    several = _list(response.get("edits")) or _list(tool_input.get("edits"))
    single = {
        asked: response.get(found, tool_input.get(asked))
        for found, asked in (("oldString", "old_string"), ("newString", "new_string"), ("replaceAll", "replace_all"))
    }
    pairs = [
        (edit.get("old_string"), edit.get("new_string"), edit.get("replace_all") is True)
        for edit in map(_mapping, several or [single])
    ]
    return [(old, new, every) for old, new, every in pairs if isinstance(old, str) and isinstance(new, str)]


def _counts(before: str | None, after: str | None, hunks: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the lines (added, deleted) between two texts; those of the patch if a text is unknown or the search too long."""
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
    """Return the lines of each hunk of a ``structuredPatch``, each with its sign."""
    return [[line for line in _list(_mapping(hunk).get("lines")) if isinstance(line, str)] for hunk in _list(value)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
