"""What the documentation says is so."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from claude_hooks_otel.cli.app import app
from claude_hooks_otel.config import load
from claude_hooks_otel.paths import Home
from claude_hooks_otel.series import catalog
from claude_hooks_otel.series.reference import page

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_page_is_the_catalogs() -> None:
    """Run: python -m claude_hooks_otel.series.reference > docs/metrics.md."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == page()


def test_the_readme_names_only_metrics_that_exist() -> None:
    names = {metric.prometheus_name for metric in catalog.METRICS}
    assert set(re.findall(r"`(claude_[a-z_]+(?:_total|_seconds|_percent|_active))`", README)) <= names


def test_every_command_is_in_the_readme_and_has_help() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f"`{name}" in README, name
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


def test_the_readmes_configuration_loads(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    (tmp_path / "config.toml").write_text(example[1], encoding="utf-8")
    assert load(Home(tmp_path), {}).identity.agent == "backend"


def test_every_page_the_readme_links_is_there() -> None:
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", README):
        assert (ROOT / target).exists(), target
