"""Each benchmark is a command that starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.places import ROOT

BENCH = ROOT / "bench"
COMMANDS = sorted(path.stem for path in BENCH.glob("*.py") if path.stem not in ("__init__", "support"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_has_a_help_text(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"python -m bench.{name}" in done.stdout
