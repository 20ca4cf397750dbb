"""Reads the share of the code that tests cover from a result of coverage.py. Standard library only, until there is a result."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

from claude_hooks_otel.foreign_files import open_regular, read_regular

# Seconds by which a file of this call can look older than the call, because file systems round times.
_ROUNDING = 0.01
# Bytes of a report. The one of a large project has some megabytes.
_MOST_REPORT = 64 << 20
_LINE_RATE = re.compile(r'<coverage\b[^>]*\bline-rate="([0-9.]+)"')


def read(report: Path | None, since: float) -> float | None:
    """Return the covered share of statements, 0 to 1; None if no result can be read.

    Args:
        report: a data file of coverage.py, or a JSON or XML report. None looks for the data file that coverage.py writes by default,
            and then for the coverage.py that measures this program.
        since: Unix seconds. A default data file that is older belongs to another run.
    """
    with contextlib.suppress(Exception):  # measuring must not break what is measured
        if report is not None:
            return _of_file(report)
        data = Path(os.environ.get("COVERAGE_FILE", ".coverage"))
        if data.is_file() and data.stat().st_mtime >= since - _ROUNDING:
            return _of_data(data)
        return _of_this_program()
    return None


def _of_file(path: Path) -> float | None:
    with open_regular(path) as file:
        head = file.read(64).lstrip()
    if head.startswith(b"{"):
        totals = json.loads(read_regular(path, _MOST_REPORT))["totals"]
        return float(totals["percent_covered"]) / 100
    if head.startswith(b"<"):
        found = _LINE_RATE.search(read_regular(path, _MOST_REPORT).decode())
        return float(found[1]) if found else None
    return _of_data(path)


def _of_data(path: Path) -> float | None:
    import coverage  # noqa: PLC0415 — only track_quality needs it

    measured = coverage.Coverage(data_file=str(path))
    try:
        measured.load()
        return _share(measured)
    finally:
        measured.get_data().close(force=True)  # it stays open if the file is no database


def _of_this_program() -> float | None:
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage else None
    return None if current is None else _share(current)


def _share(measured: object) -> float | None:
    percent = measured.report(file=io.StringIO())  # type: ignore[attr-defined]
    return float(percent) / 100
