"""Which files a finished tool call changed or read, and by how many lines, as ``git diff --numstat`` counts them.

The counts come from the two texts that the client reports. What no report tells: a file's line endings (the client shows CRLF as
LF, so a call that also changes endings counts fewer lines than git), and the encoding of a UTF-16 file, which git takes for binary.
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

OTHER = "other"
# File names that say the type although they have no extension.
_NAMED_TYPES = {
    name: name.lstrip(".")
    for name in (
        ".bashrc",
        ".dockerignore",
        ".editorconfig",
        ".env",
        ".gitattributes",
        ".gitignore",
        ".gitmodules",
        ".npmrc",
        ".zshrc",
        "containerfile",
        "dockerfile",
        "gemfile",
        "jenkinsfile",
        "justfile",
        "makefile",
        "procfile",
        "rakefile",
        "vagrantfile",
    )
}
_EXTENSION = re.compile(r"(?=.*[a-z])[a-z0-9_+-]{1,16}")  # a number alone is a version or a date, not a type
# What the client tells the model after a success.
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
        created: the client says that the call made the file; it says so of a file that was there but empty, too.
        path_digest: 16 hex digits of the SHA-256 of the absolute path: tells files apart without keeping their paths.
    """

    file_type: str
    added: int
    deleted: int
    created: bool
    path_digest: str


def file_changes(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> list[FileChange]:
    """The files that a finished call of Edit, MultiEdit, Write, NotebookEdit or Bash changed; a file left as it was is not one.

    A Bash call tells its changes only where the client reports them (``bashEditDiff``); one that ran beside another Bash call
    reports the changes of both (``shared``) and is left out.

    Args:
        tool_name: the tool.
        tool_input: its input, from a hook or a transcript.
        tool_response: ``tool_response`` of PostToolUse, or the transcript's ``toolUseResult``. A failed call has a text there.
            A sub-agent's transcript has none: pass the text of its ``tool_result`` block. The counts are then those of the
            input alone: a replacement counts once wherever else it was made, an overwritten file or notebook counts no lines.
        cwd: the session's folder, against which a relative path is read.
    """
    asked = _mapping(tool_input)
    if isinstance(tool_response, str):
        return list(_told_in_words(tool_name, asked, tool_response, cwd))
    reader = _READERS.get(tool_name)
    return list(reader(asked, tool_response, cwd)) if reader and isinstance(tool_response, Mapping) else []


def file_read(
    tool_name: str, tool_input: Mapping[str, Any], tool_response: Any, *, cwd: str | None = None
) -> str | None:
    """The path digest of the file that a successful Read read, else None. Arguments as for `file_changes`."""
    if tool_name != "Read":
        return None
    if isinstance(tool_response, str):
        succeeded = _READ_TEXT.match(tool_response) is not None
    else:
        succeeded = isinstance(tool_response, Mapping | list) and bool(tool_response)
    path = _text(_mapping(tool_input).get("file_path")) or _text(
        _mapping(_mapping(tool_response).get("file")).get("filePath")
    )
    return path_digest(path, cwd) if path and succeeded else None


def file_type(path: str) -> str:
    """A short, bounded word for the type of the file at ``path``."""
    name = re.split(r"[/\\]", path)[-1].lower()
    if named := _NAMED_TYPES.get(name):
        return named
    extension = PurePosixPath(name).suffix.removeprefix(".")
    return extension if _EXTENSION.fullmatch(extension) else OTHER


def path_digest(path: str, cwd: str | None = None) -> str:
    """16 hex digits of the SHA-256 of the absolute path; hooks write paths out in full, transcripts as the model gave them."""
    if path.startswith("~/"):
        path = f"{Path.home()}{path[1:]}"
    absolute = os.path.normpath(PurePosixPath(cwd or "/", path))
    return hashlib.sha256(absolute.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _told_in_words(tool_name: str, tool_input: Mapping[str, Any], words: str, cwd: str | None) -> Iterator[FileChange]:
    """The change behind what the client told the model, where its response was not kept."""
    path = _text(tool_input.get("file_path")) or _text(tool_input.get("notebook_path"))
    if path is None or not (told := _SUCCESS_TEXT.match(words)):
        return
    created, counts = False, (0, 0)
    if tool_name == "Write" and told["created"]:
        content = _text(tool_input.get("content")) or ""
        created, counts = True, numstat("", content) or (0, 0)
    elif tool_name in {"Edit", "MultiEdit"}:
        edits = _edits(tool_input, {})
        created = bool(edits) and edits[0][0] == ""
        each = [numstat(old, new) or (0, 0) for old, new, _ in edits]
        counts = sum(added for added, _ in each), sum(deleted for _, deleted in each)
    yield _change(path, cwd, counts, created=created)


def _change(path: str, cwd: str | None, counts: tuple[int, int], *, created: bool) -> FileChange:
    added, deleted = counts
    return FileChange(file_type(path), added, deleted, created, path_digest(path, cwd))


def _edit(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("file_path")) or _text(response.get("filePath"))
    before = _text(response.get("originalFile", response.get("originalFileContents")))
    hunks = _hunks(response.get("structuredPatch"))
    after = None if before is None or response.get("userModified") is True else _replay(before, tool_input, response)
    edits = _edits(tool_input, response)
    created = not before and bool(edits) and edits[0][0] == ""
    if path and (created or before != after or hunks):
        yield _change(path, cwd, _counts(before, after, hunks), created=created)


def _write(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("file_path")) or _text(response.get("filePath"))
    after = _text(response.get("content", tool_input.get("content")))
    before = _text(response.get("originalFile"))
    created = response.get("type") == "create"
    if path is None or after is None:
        return
    if created:
        yield _change(path, cwd, _counts("", after, []), created=True)
    elif before != after:
        yield _change(path, cwd, _counts(before, after, _hunks(response.get("structuredPatch"))), created=False)


def _notebook_edit(tool_input: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    path = _text(tool_input.get("notebook_path")) or _text(response.get("notebook_path"))
    before, after = _text(response.get("original_file")), _text(response.get("updated_file"))
    if path and before is not None and after is not None and before != after and not response.get("error"):
        yield _change(path, cwd, _counts(before, after, []), created=False)


def _bash(_: Mapping[str, Any], response: Mapping[str, Any], cwd: str | None) -> Iterator[FileChange]:
    diff = _mapping(response.get("bashEditDiff"))
    if diff.get("shared") is True:
        return
    files = [
        PatchedFile(path, hunks, created=file.get("created") is True, deleted=file.get("deleted") is True)
        for file in map(_mapping, _list(diff.get("files")))
        if (path := _text(file.get("filePath")))
        for hunks in [_hunks(file.get("hunks"))]
    ]
    renames, others = pair_renames(files)
    for rename in renames:
        yield _change(rename.path, cwd, _counts(rename.before, rename.after, []), created=False)
    for file in others:
        yield _change(file.path, cwd, _patch_counts(file.hunks), created=file.created)


_READERS = {"Edit": _edit, "MultiEdit": _edit, "Write": _write, "NotebookEdit": _notebook_edit, "Bash": _bash}


def _replay(before: str, tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    """``before`` with the call's edits made as the client makes them."""
    text = before
    for old, new, every in _edits(tool_input, response):
        if not old:
            text = new
            continue
        # Deleting the whole of a line's text deletes the line.
        found = f"{old}\n" if not new and not old.endswith("\n") and f"{old}\n" in text else old
        text = text.replace(found, new, -1 if every else 1)
    return text


def _edits(tool_input: Mapping[str, Any], response: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """The replacements (old, new, everywhere) of a call; what the client found in the file goes before what the model asked for."""
    several = _list(response.get("edits")) or _list(tool_input.get("edits"))
    if several:
        pairs = [
            (edit.get("old_string"), edit.get("new_string"), edit.get("replace_all")) for edit in map(_mapping, several)
        ]
    else:
        old, new = (
            response.get(given, tool_input.get(asked))
            for given, asked in (("oldString", "old_string"), ("newString", "new_string"))
        )
        pairs = [(old, new, response.get("replaceAll", tool_input.get("replace_all")))]
    return [(old, new, every is True) for old, new, every in pairs if isinstance(old, str) and isinstance(new, str)]


def _counts(before: str | None, after: str | None, hunks: Sequence[Sequence[str]]) -> tuple[int, int]:
    """The lines (added, deleted) between two texts, or where they are not both known or too long to compare, in the patch."""
    patched = _patch_counts(hunks)
    if before is None or after is None:
        return patched
    grown = len(lines_of(after)) - len(lines_of(before))
    if hunks and grown != patched[0] - patched[1]:
        return patched  # the replayed text is not what the client wrote
    counts = numstat(before, after)
    if counts is not None:
        return counts
    return patched if hunks else (len(lines_of(after)), len(lines_of(before)))


def _patch_counts(hunks: Iterable[Sequence[str]]) -> tuple[int, int]:
    signs = [line[:1] for lines in hunks for line in lines]
    return signs.count("+"), signs.count("-")


def _hunks(value: Any) -> list[list[str]]:
    """The lines of each hunk of a ``structuredPatch``, each with its sign."""
    return [[line for line in _list(_mapping(hunk).get("lines")) if isinstance(line, str)] for hunk in _list(value)]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
