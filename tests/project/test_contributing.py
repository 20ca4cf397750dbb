"""The recipes of CONTRIBUTING.md name existing files, and a test fails if a step is forgotten."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import walk_packages

import pytest

from claude_hooks_otel.export import custom
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.custom.registry import GROUP
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.sources.registration import REGISTERED
from tests.support.places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w.]+(?:/[\w.]*)*\.?(?:py|md|json|toml)|[\w/]+/)`", TEXT))))
def test_every_named_file_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_page_of_the_documentation_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert len(pages) > 5
    assert {name for name in pages if f"({name})" not in listed} == set()


def _exporters() -> set[str]:
    found = set()
    for module in walk_packages(custom.__path__, f"{custom.__name__}."):
        for name, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            if name[0] != "_" and issubclass(kind, CustomExporter) and kind is not CustomExporter:
                found.add(f"{kind.__module__}:{name}")
    return found


def test_every_exporter_has_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = {value.rsplit(":", 1)[1] for value in project["project"]["entry-points"][GROUP].values()}
    assert {exporter.rsplit(":", 1)[1] for exporter in _exporters()} <= named
    assert {point.name for point in entry_points(group=GROUP)} >= set(project["project"]["entry-points"][GROUP])


def test_the_documentation_shows_every_exporter() -> None:
    page = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
    named = [point.name for point in entry_points(group=GROUP) if point.value.startswith("claude_hooks_otel.")]
    assert len(named) >= 3
    assert [name for name in named if f"[exporters.{name}]" not in page] == []


def test_the_package_adds_to_every_counter() -> None:
    rooms = ROOT / "claude_hooks_otel"
    code = "".join(path.read_text("utf-8") for path in rooms.rglob("*.py") if path.name != "catalog.py")
    names = {name for name, value in vars(catalog).items() if value in catalog.METRICS}
    assert len(names) > 40
    assert {name for name in names if not re.search(rf"\bcatalog\.{name}\b|\b{name}\b", code)} == set()


def test_facts_are_made_of_every_registered_event() -> None:
    code = (ROOT / "claude_hooks_otel" / "sources" / "hook_payloads.py").read_text(encoding="utf-8")
    assert {event for event in REGISTERED if event not in code} == set()
