"""The documentation is true."""

from __future__ import annotations

import doctest
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.reference import page
from claude_hooks_otel.sdk import names as sdk_names
from claude_hooks_otel.settings import load
from claude_hooks_otel.traces import gen_ai_metrics
from claude_hooks_otel.traces import semantic_conventions as names
from claude_hooks_otel.traces.reference import page as events_page
from tests.support.places import ROOT

TREES = ROOT / "tests" / "data" / "span_trees"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_of_metrics_is_up_to_date() -> None:
    """Run: python -m claude_hooks_otel.metrics.reference > docs/metrics.md."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == page()


def test_the_reference_of_events_is_up_to_date() -> None:
    """Run: python -m claude_hooks_otel.traces.reference > docs/events.md."""
    assert (ROOT / "docs" / "events.md").read_text(encoding="utf-8") == events_page()


def test_the_page_on_traces_names_only_existing_attributes() -> None:
    declared = {value for value in vars(names).values() if isinstance(value, str)}
    declared |= {f"{name}{part}" for name in declared for part in (names.LENGTH, names.SHA256, ".*")}
    declared |= set(gen_ai_metrics.CATALOG) | {metric.name for metric in catalog.METRICS}
    text = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:gen_ai|claude|mcp|vcs|session|error)\.[a-z0-9_.*]+)`", text))
    assert len(named) > 30
    assert named <= declared


def test_the_page_on_traces_names_every_attribute_of_spans() -> None:
    text = (ROOT / "docs" / "traces.md").read_text(encoding="utf-8")
    sent = {name for path in TREES.glob("*.json") for name in _attribute_names(json.loads(path.read_text("utf-8")))}
    assert len(sent) > 25
    assert {name for name in sent if f"`{name}`" not in text} == set()


def _attribute_names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _attribute_names(part)
    elif isinstance(value, dict):
        yield from value.get("attributes", {})
        for part in value.values():
            yield from _attribute_names(part)


@pytest.mark.parametrize("name", ["traces", "budgets"])
def test_each_configuration_on_a_page_loads(tmp_path: Path, name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)):
        home = Home(tmp_path / str(number))
        home.create()
        home.config.write_text(example, encoding="utf-8")
        load(home.config, {})


def test_the_readme_names_only_existing_metrics() -> None:
    names = {metric.prometheus_name for metric in catalog.METRICS}
    assert set(re.findall(r"`(claude_[a-z_]+(?:_total|_seconds|_percent|_active))`", README)) <= names


def test_every_command_is_in_the_readme_and_has_a_help_text() -> None:
    for command in make_app().registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f"`{name}" in README, name
        assert CliRunner().invoke(make_app(), [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_the_example_of_the_configuration_loads(tmp_path: Path, page: str) -> None:
    example = re.search(r"```toml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (tmp_path / "config.toml").write_text(example[1], encoding="utf-8")
    assert load(Home(tmp_path).config, {}).identity.agent == "backend"


def test_every_page_that_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", README):
        page, _, heading = target.partition("#")
        assert (ROOT / page).exists(), target
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in [text.lower().replace(" ", "-") for text in headings], target


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT)
        for package in ("claude_hooks_otel", "claude_monitoring")
        for path in sorted((ROOT / package).rglob("*.py"))
        if ">>> " in path.read_text(encoding="utf-8")
    ],
    ids=str,
)
def test_the_examples_in_docstrings_are_true(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path))
    monkeypatch.setattr(sdk_names, "_in_use", {})
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    result = doctest.testmod(module, optionflags=flags)
    assert (result.failed, result.attempted > 0) == (0, True)
