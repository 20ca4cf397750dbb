"""Runs the import command, and reads what it counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.aggregates import read_aggregates
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import END_OF_TIME
from tests.support.places import ROOT

# A file that is read several times counts once, in the half hour of the read that the store gets first.
OF_FIRST_READ = catalog.FILES_READ.name

Sums = Counter[tuple[str, Any, int]]


def sums(home: Home) -> Sums:
    """Return what a report adds up: each metric by labels and half hour."""
    core = assemble_core(home, Config(), time.time_ns)
    found: Sums = Counter()
    for each in read_aggregates(core.store.connection, 0, END_OF_TIME):
        found[each.metric, each.labels, 0 if each.metric == OF_FIRST_READ else each.begin_ns] += each.value
    core.store.close()
    return found


@dataclass
class Importer:
    """Runs the import command in a process group of its own."""

    folders: Sequence[Path]
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, home: Home, *arguments: str) -> subprocess.Popen[str]:
        """Start an import."""
        named = [argument for folder in self.folders for argument in ("--config-dir", str(folder))]
        return subprocess.Popen(
            [sys.executable, "-m", "claude_hooks_otel", "import", "--json", *named, *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home.root), HOME_VARIABLE: str(home.root), **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, home: Home, *arguments: str) -> dict[str, Any]:
        """Import to the end, and return the result."""
        with self.start(home, *arguments) as process:
            output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        found: dict[str, Any] = json.loads(output)
        return found
