"""One module opens the files that events and repositories name. Whoever opened one elsewhere could wait for it for good."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.places import ROOT

PACKAGE = ROOT / "claude_hooks_otel"
# The rooms that see such paths. The spool and the program's own records are folders of ours.
ROOMS = ("sources", "tool_effects", "facts", "traces", "series", "metrics")
OWN = ("sources/spool.py", "sources/spool_budget.py", "sources/status_input.py")
READS = {"read_bytes", "read_text"}


def _reads(path: Path) -> list[str]:
    """Return the lines of a module that open a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        is_open = isinstance(called, ast.Name) and called.id == "open"
        is_method = isinstance(called, ast.Attribute) and called.attr in READS | {"open"}
        if is_open or is_method:
            found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return found


def test_only_one_module_opens_files_that_events_name() -> None:
    modules = [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]
    assert [line for path in modules for line in _reads(path) if not line.startswith(OWN)] == []
    assert _reads(PACKAGE / "foreign_files.py")  # the search finds what it looks for
