"""The action and the workflows have no mistake that actionlint finds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.rig.build import binary
from tests.support.places import ROOT

pytestmark = pytest.mark.stack
WORKFLOW = """
on: push
jobs:
  claude:
    runs-on: ubuntu-latest
    steps:
      - id: claude
        uses: ./
        with: {given}
      - run: echo "$COST"
        env:
          COST: ${{{{ steps.claude.outputs.{output} }}}}
"""


def lint(folder: Path, given: str, output: str) -> str:
    """Return what actionlint says about a workflow that uses the action."""
    (folder / ".github" / "workflows").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "action.yml").write_bytes((ROOT / "action.yml").read_bytes())
    path = folder / ".github" / "workflows" / "claude.yml"
    path.write_text(WORKFLOW.format(given=given, output=output))
    done = subprocess.run([binary("actionlint"), str(path)], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_workflow_that_uses_every_input_and_output_is_sound(tmp_path: Path, servers: None) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    given = "{" + ", ".join(f"{name}: x" for name in action["inputs"]) + "}"
    for output in action["outputs"]:
        assert lint(tmp_path / output, given, output) == ""


def test_an_unknown_input_or_output_is_found(tmp_path: Path, servers: None) -> None:
    assert 'input "promt" is not defined' in lint(tmp_path / "input", "{promt: x}", "result")
    assert 'property "prize" is not defined' in lint(tmp_path / "output", "{prompt: x}", "prize")


def test_the_workflows_of_this_repository_are_sound(servers: None) -> None:
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    done = subprocess.run([binary("actionlint"), *workflows], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
