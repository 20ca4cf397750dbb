"""Transcripts that grow as they did when they were recorded."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.corpus import FOLDER, Scenario


class GrowingTranscripts:
    """The transcripts of a scenario as they were at a time. Each line appears at the time at which it was written."""

    def __init__(self, scenario: Scenario, target: Path) -> None:
        root = FOLDER / scenario.name / "transcripts"
        self._left: list[tuple[float, Path, bytes]] = []
        for path in sorted(root.rglob("*")):
            if not path.is_file():
                continue
            copy = target / path.relative_to(root)
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            copy = copy.with_suffix("") if path.suffix == ".gz" else copy
            if copy.suffix != ".jsonl":
                self._left.append((0.0, copy, content))
                continue
            at = 0.0
            for line in content.splitlines(keepends=True):
                at = max(at, _time(json.loads(line)))
                self._left.append((at, copy, line))
        self._left.sort(key=lambda entry: entry[0])

    def grow(self, until: float) -> None:
        """Write all lines up to this time, seconds since the epoch."""
        while self._left and self._left[0][0] <= until:
            _, path, content = self._left.pop(0)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(content)


def _time(line: dict[str, Any]) -> float:
    text = line.get("timestamp")
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else 0.0
