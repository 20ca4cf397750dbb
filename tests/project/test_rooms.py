"""Imports between the rooms of the package go one way, and modules, functions and rooms stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_hooks_otel import ROOMS
from tests.support.places import ROOT

PACKAGE = ROOT / "claude_hooks_otel"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
# The most lines of a module and of a function, and the largest share of a room in all lines.
LONGEST_MODULE, LONGEST_FUNCTION, LARGEST_SHARE = 400, 50, 0.15
# This room may be larger, because it has everything that the package knows about what happened.
UNBOUNDED = "facts"


def imported(module: str) -> Iterator[str]:
    """Return every module of the package that a module imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES and name != module)


def room(module: str) -> str:
    """Return the room of a module. It is empty for the package itself, and for ``python -m``."""
    name = module.split(".")[1] if "." in module else ""
    return "" if name == "__main__" else name


def test_the_list_of_rooms_is_complete() -> None:
    assert {room(module) for module in MODULES} == {"", *ROOMS}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_room_and_those_below(module: str) -> None:
    if not room(module):
        return
    own = ROOMS.index(room(module))
    upwards = [name for name in imported(module) if room(name) and ROOMS.index(room(name)) < own]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: set(imported(module)) for module in MODULES}
    while free := [module for module, names in left.items() if not names & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_400_lines(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_longer_than_50_lines(module: str) -> None:
    long = [
        f"{node.name}: {length}"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("name", [name for name in ROOMS if name != UNBOUNDED])
def test_no_room_holds_more_than_15_percent_of_the_lines(name: str) -> None:
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    own = sum(count for module, count in lines.items() if room(module) == name)
    assert own <= LARGEST_SHARE * sum(lines.values())


def test_tests_mirror_the_rooms() -> None:
    """A folder of tests has the name of a room, or of what it tests outside the package."""
    others = {"client", "data", "hooks", "project", "stack", "support"}
    folders = {path.name for path in Path(ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - others <= set(ROOMS)


def test_no_test_module_imports_another() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.split(".")[-1].startswith("test_"), f"{path} imports {node.module}"
