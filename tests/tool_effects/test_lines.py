"""Lines are counted as ``git diff --numstat`` counts them, in recorded sessions and in made-up texts."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claude_hooks_otel.tool_effects import line_diff
from claude_hooks_otel.tool_effects.line_diff import numstat
from claude_hooks_otel.tool_effects.lines import FileChange, file_changes, file_read, file_type, path_digest
from tests.support.places import DATA

RECORDED = DATA / "lines"
SESSIONS = json.loads((RECORDED / "sessions.json").read_text())
CALLS = json.loads((RECORDED / "calls.json").read_text())
BASH_EDIT_DIFF = json.loads((RECORDED / "bash_edit_diff.json").read_text())

# Sessions in which git counts something that no tool call shows, or the reverse: session → the total of the calls.
NAMED_DIFFERENCES = {
    "bash-writes": {},  # a file that the shell wrote
    "edit-twice-back-and-forth": {"e10.txt": [2, 2]},  # two edits that cancel each other are two edits
    # the shell wrote byshell.txt and all of old.txt
    "basic-edit": {"calc.py": [1, 1], "new.py": [5, 0], "old.txt": [2, 8], "many.txt": [6, 3]},
}
# Recorded calls in which the client rewrote line endings or the file was not UTF-8. Its report shows neither.
UNSEEN_BYTES = {"c2.txt": [1, 1], "c3.txt": [1, 0], "u16.txt": [1, 1]}


def rows(text: str) -> dict[str, list[int]]:
    """Return the rows of numstat. For a binary file, git prints ``-``."""
    fields = [line.split("\t") for line in text.splitlines()]
    return {
        name: [0 if added == "-" else int(added), 0 if deleted == "-" else int(deleted)]
        for added, deleted, name in fields
    }


def changes_of(call) -> list[FileChange]:
    response = call["tool_response"]
    if isinstance(response, dict) and isinstance(response.get("content"), dict):
        response = {**response, "content": "".join(f"row {n}\n" for n in range(response["content"]["rows"]))}
    return file_changes(call["tool_name"], call["tool_input"], response)


def name_of(call) -> str:
    path = call["tool_input"].get("file_path") or call["tool_input"].get("notebook_path")
    return path.rsplit("/", 1)[-1]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session["case"])
def test_the_calls_of_a_session_add_up_to_the_lines_that_git_counts(session):
    found: dict[str, list[int]] = {}
    for call in session["calls"]:
        for change in changes_of(call):
            counts = found.setdefault(name_of(call), [0, 0])
            counts[0] += change.added
            counts[1] += change.deleted
    assert found == NAMED_DIFFERENCES.get(session["case"], rows(session["numstat"]))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call['tool_name']}-{name_of(call)}")
def test_a_call_counts_the_lines_that_git_counts_right_after_it(call):
    """For some rewrites, the client's own patch has other counts than git."""
    expected = rows(call["numstat"])
    expected.update({name: counts for name, counts in UNSEEN_BYTES.items() if name in expected})
    assert {name_of(call): [change.added, change.deleted] for change in changes_of(call)} == expected


def test_some_patches_of_the_client_have_other_counts_than_git():
    def signs(call):
        lines = [line[:1] for hunk in call["tool_response"]["structuredPatch"] for line in hunk["lines"]]
        return [lines.count("+"), lines.count("-")]

    rewrites = [call for call in CALLS if name_of(call).startswith("f")]
    assert sum(signs(call) != rows(call["numstat"])[name_of(call)] for call in rewrites) == 4


def test_a_new_empty_file_is_a_change_and_an_unchanged_file_is_none():
    changes = {session["case"]: sum(len(changes_of(call)) for call in session["calls"]) for session in SESSIONS}
    assert changes["create-empty"] == 1
    assert changes["edit-create-by-empty-old-string"] == 1
    assert changes["overwrite-all-different"] == 1
    assert changes["notebook-insert"] == 1
    assert changes["overwrite-same"] == 0


def test_changes_that_the_client_reports_for_a_bash_call_count():
    (call,) = BASH_EDIT_DIFF
    found = sorted((change.file_type, change.added, change.deleted) for change in changes_of(call))
    assert found == [("py", 0, 2), ("py", 1, 0), ("txt", 1, 0)]


def bash_call(*files, **more):
    return {
        "tool_name": "Bash",
        "tool_input": {},
        "tool_response": {"bashEditDiff": {"files": list(files), "moreFiles": 0, **more}},
    }


def test_a_file_that_bash_moves_counts_only_its_changed_lines_as_a_rename_in_git():
    body = [f"line {n}" for n in range(10)]
    old = {"filePath": "/p/old.py", "deleted": True, "hunks": [{"lines": [f"-{line}" for line in body]}]}
    new = {"filePath": "/p/new.md", "created": True, "hunks": [{"lines": [f"+{line}" for line in [*body, "one more"]]}]}
    other = {"filePath": "/p/other.md", "created": True, "hunks": [{"lines": ["+something else"]}]}
    found = {(c.path_digest, c.added, c.deleted) for c in changes_of(bash_call(old, new, other))}
    assert found == {(path_digest("/p/new.md"), 1, 0), (path_digest("/p/other.md"), 1, 0)}


def test_a_diff_shared_by_two_bash_calls_counts_for_neither():
    file = {"filePath": "/p/a.py", "hunks": [{"lines": ["+x"]}]}
    assert changes_of(bash_call(file)) != []
    assert changes_of(bash_call(file, shared=True)) == []


def test_a_call_of_a_subagent_counts_by_its_input_because_its_transcript_has_no_response():
    """The texts come from the client, the edit from ``subagent-edit``, and the counts from git."""
    edit = {"file_path": "/p/s1.txt", "old_string": "line 5", "new_string": "5\n5b"}
    (change,) = file_changes("Edit", edit, "The file /p/s1.txt has been updated successfully. (file state is current)")
    assert (change.added, change.deleted) == (2, 1)
    write = {"file_path": "/p/s2.txt", "content": "a\nb\n"}
    (change,) = file_changes("Write", write, "File created successfully at: /p/s2.txt")
    assert (change.added, change.deleted) == (2, 0)
    (change,) = file_changes("Write", write, "The file /p/s2.txt has been updated successfully.")
    assert (change.added, change.deleted) == (0, 0)
    assert file_changes("Edit", edit, "Error: String to replace not found in file.") == []


def test_an_edit_without_the_text_of_the_file_counts_the_signs_of_its_patch():
    response = {"filePath": "/p/a.py", "originalFile": None, "structuredPatch": [{"lines": [" a", "-b", "+c", "+d"]}]}
    (change,) = file_changes("Edit", {"file_path": "/p/a.py", "old_string": "b", "new_string": "c\nd"}, response)
    assert (change.added, change.deleted) == (2, 1)


def test_an_edit_that_the_user_changed_counts_what_was_written():
    response = {
        "originalFile": "a\nb\n",
        "oldString": "b",
        "newString": "c",
        "userModified": True,
        "structuredPatch": [{"lines": [" a", "-b", "+c", "+by hand"]}],
    }
    (change,) = file_changes("Edit", {"file_path": "/p/a.py"}, response)
    assert (change.added, change.deleted) == (2, 1)


def test_several_edits_of_one_call_count_together():
    edits = [{"old_string": "a", "new_string": "A"}, {"old_string": "c\n", "new_string": ""}]
    response = {"originalFileContents": "a\nb\nc\n", "edits": edits, "structuredPatch": []}
    (change,) = file_changes("MultiEdit", {"file_path": "/p/a.txt", "edits": edits}, response)
    assert (change.added, change.deleted) == (1, 2)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p/a.PY", "py"),
        ("/p/Dockerfile", "dockerfile"),
        ("/p/.gitignore", "gitignore"),
        ("C:\\p\\x.ts", "ts"),
        ("/p/a.tar.gz", "gz"),
        ("/p/LICENSE", "other"),
        ("/p.d/none", "other"),
        ("/p/log.20260101", "other"),
        ("/p/a.secret token", "other"),
        (f"/p/a.{'x' * 17}", "other"),
        ("/p/a.été", "other"),
        ("", "other"),
    ],
)
def test_a_file_type_is_a_short_bounded_word(path, expected):
    assert file_type(path) == expected


def test_the_absolute_and_the_relative_path_have_the_same_digest():
    whole = path_digest("/home/dev/project/calc.py")
    assert whole == path_digest("calc.py", "/home/dev/project") == path_digest("./x/../calc.py", "/home/dev/project")
    assert len(whole) == 16
    assert whole != path_digest("/home/dev/other/calc.py")
    assert path_digest("~/calc.py") == path_digest(f"{Path.home()}/calc.py")


def test_a_read_has_the_digest_of_its_file_and_a_failed_read_has_none():
    digest = path_digest("/p/a.py")
    asked = {"file_path": "/p/a.py"}
    assert file_read("Read", asked, {"type": "text", "file": {"filePath": "/p/a.py"}}) == digest
    assert file_read("Read", {}, {"type": "text", "file": {"filePath": "/p/a.py"}}) == digest
    assert file_read("Read", asked, {"type": "file_unchanged", "file": {"filePath": "/p/a.py"}}) == digest
    assert file_read("Read", asked, "1\tx = 1\n2\t") == digest
    assert file_read("Read", asked, [{"type": "image", "source": {}}]) == digest
    assert file_read("Read", asked, "Error: File does not exist.") is None
    assert file_read("Read", asked, None) is None
    assert file_read("Edit", asked, {"filePath": "/p/a.py"}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *(
            "filePath",
            "file_path",
            "notebook_path",
            "file",
            "type",
            "content",
            "originalFile",
            "structuredPatch",
            "edits",
        ),
        *("oldString", "newString", "old_string", "new_string", "original_file", "updated_file"),
        *("bashEditDiff", "files", "hunks", "lines", "created", "deleted"),
    ]
)
TOOLS = st.sampled_from(["Edit", "MultiEdit", "Write", "NotebookEdit", "Bash", "Read", "Odd"])


@given(TOOLS, st.dictionaries(FIELDS, JSON), st.dictionaries(FIELDS, JSON) | JSON)
def test_fields_of_an_unexpected_type_never_raise(tool, tool_input, tool_response):
    for change in file_changes(tool, tool_input, tool_response):
        assert change.added >= 0 <= change.deleted
    file_read(tool, tool_input, tool_response)


def git_numstat(folder: Path, before: str, after: str) -> tuple[int, int]:
    """Return the counts of the real git for two files with these texts."""
    (folder / "before").write_bytes(before.encode())
    (folder / "after").write_bytes(after.encode())
    command = ["git", "diff", "--no-index", "--numstat", "--no-renames", "before", "after"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}  # git's defaults
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    if not result.stdout:
        return 0, 0
    added, deleted = result.stdout.split("\t")[:2]
    return (0, 0) if added == "-" else (int(added), int(deleted))


LINE = st.sampled_from(["", "", "}", "    return x", "a", "b", "c", "d", "e", "a\r", "ä", "\x0c", "\u2028", "x\ry"])
TEXT = st.builds(lambda lines, end: "\n".join(lines) + end, st.lists(LINE, max_size=40), st.sampled_from(["", "\n"]))


@given(TEXT, TEXT)
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_any_two_small_texts_count_as_in_git(tmp_path, before, after):
    assert numstat(before, after) == git_numstat(tmp_path, before, after)


COMMON_LINES = ["", "", "", "    }", "        return value", "    try:"]


def program(random, size: int) -> list[str]:
    """Return rare and common lines, mixed as in a program."""
    return [
        random.choice(COMMON_LINES) if random.random() < 0.3 else f"line {random.randrange(4 * size)}"
        for _ in range(size)
    ]


@given(st.randoms(use_true_random=False), st.sampled_from([30, 100, 300, 1500]))
@settings(
    max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], derandomize=True
)
def test_rewritten_and_moved_parts_of_a_program_count_as_in_git(tmp_path, random, size):
    """In these cases git's diff is often not the shortest one."""
    before = program(random, size)
    after = list(before)
    for _ in range(random.choice([1, 1, 3, 30])):
        start = random.randrange(len(after) + 1)
        end = start + random.randrange(size // 2)
        moved = after[start:end]
        after[start:end] = program(random, random.randrange(1, size // 2)) if random.random() < 0.6 else []
        if random.random() < 0.5:
            place = random.randrange(len(after) + 1)
            after[place:place] = moved
    texts = "\n".join(before) + "\n", "\n".join(after) + "\n"
    assert numstat(*texts) == git_numstat(tmp_path, *texts)


def test_binary_content_has_no_lines_as_in_git(tmp_path):
    for text in ("a\0b\n", "a" * 7999 + "\0\n", "a" * 8000 + "\0\n"):
        assert numstat("x\n", text) == git_numstat(tmp_path, "x\n", text)


def test_the_clients_patch_counts_for_texts_that_are_too_long_to_compare(monkeypatch):
    before = "".join(f"{n % 100}\n" for n in range(1000))
    after = "".join(f"{n * 7919 % 100}\n" for n in range(1000))
    response = {
        "type": "update",
        "content": after,
        "originalFile": before,
        "structuredPatch": [{"lines": ["-0", "+0"]}],
    }
    monkeypatch.setattr(line_diff, "MAX_STEPS", 1000)
    assert numstat(before, after) is None
    (change,) = file_changes("Write", {"file_path": "/p/a.txt"}, response)
    assert (change.added, change.deleted) == (1, 1)
    monkeypatch.undo()
    (change,) = file_changes("Write", {"file_path": "/p/a.txt"}, response)
    assert (change.added, change.deleted) == numstat(before, after) != (1, 1)
