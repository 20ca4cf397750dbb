"""The GitHub Action passes the linter of actions, with the workflow that the documentation shows, and its compose file is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from monitoring.rig.build import UnavailableError, binary
from tests.support.places import ROOT

pytestmark = pytest.mark.stack


def program(name: str) -> str:
    try:
        return str(binary(name))
    except UnavailableError as error:
        pytest.skip(str(error))


def test_the_workflow_in_the_documentation_uses_inputs_and_outputs_that_the_action_has(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(permissions:.*?)```", page, re.DOTALL)
    assert example
    permissions, _, steps = example[1].partition("steps:\n")
    body = "".join(f"    {line}\n" for line in f"steps:\n{steps}".splitlines())
    text = f"on: pull_request\n{permissions}jobs:\n  review:\n    runs-on: ubuntu-24.04\n{body}"
    workflow = tmp_path / ".github" / "workflows" / "review.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(text.replace("OWNER/claude-hooks-otel@v1", "./"), encoding="utf-8")
    shutil.copy(ROOT / "action.yml", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    lint = [program("actionlint"), "-no-color", "-shellcheck="]
    done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    workflow.write_text(workflow.read_text(encoding="utf-8").replace("outputs.cost-usd", "outputs.cost"))
    done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'property "cost" is not defined' in done.stdout


def test_the_compose_file_for_sessions_in_containers_is_valid() -> None:
    file = ROOT / "deploy" / "docker" / "compose.yml"
    done = subprocess.run([program("compose"), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
