"""Where the repository, the recorded data and the hook entrypoint are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
EMIT = ROOT / "hooks" / "emit"
