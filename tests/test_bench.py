"""The benchmarks are commands: each of them starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
COMMANDS = sorted(path.name for path in BENCH.glob("*.py") if path.name != "support.py")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_is_a_command_that_explains_itself(name: str) -> None:
    done = subprocess.run([sys.executable, str(BENCH / name), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"python bench/{name}" in done.stdout
