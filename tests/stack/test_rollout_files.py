"""What the page on roll-out shows and what it names is valid: the workflow, and the compose file for sessions in containers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from monitoring.rig.build import binary
from tests.support.places import ROOT

pytestmark = pytest.mark.stack


def test_the_workflow_on_the_page_uses_inputs_and_outputs_of_the_action(tmp_path: Path, servers: None) -> None:
    page = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(permissions:.*?)```", page, re.DOTALL)
    assert example
    permissions, _, steps = example[1].partition("steps:\n")
    body = "".join(f"    {line}\n" for line in f"steps:\n{steps}".splitlines())
    text = f"on: pull_request\n{permissions}jobs:\n  review:\n    runs-on: ubuntu-24.04\n{body}"
    workflow = tmp_path / ".github" / "workflows" / "review.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(text.replace("OWNER/claude-hooks-otel@v1", "./"), encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "action.yml").write_bytes((ROOT / "action.yml").read_bytes())
    done = subprocess.run(
        [binary("actionlint"), str(workflow)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""


def test_the_compose_file_for_sessions_in_containers_is_valid(servers: None) -> None:
    file = ROOT / "deploy" / "docker" / "compose.yml"
    done = subprocess.run([binary("compose"), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
