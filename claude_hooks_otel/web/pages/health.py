"""The health of the installation: what ``status`` and ``doctor`` say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from claude_hooks_otel.diagnosis.finding import Level, Surroundings
from claude_hooks_otel.diagnosis.status import problems, read_status
from claude_hooks_otel.diagnosis.status_rows import status_rows
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.web.tables import Cell, Head, Table
from claude_hooks_otel.web.view import Page


def build(home: Home, environ: Mapping[str, str]) -> Page:
    """Return the page without the checks, which take seconds."""
    state = read_status(home)
    table = Table("status", "Status", [Head("part", is_number=False), Head("state", is_number=False)])
    for name, text in status_rows(state, home, environ):
        table.rows.append([Cell(name), Cell(text)])
        table.records.append({"part": name, "state": text})
    found = [*problems(state), *([state["store_error"]] if state["store_error"] else [])]
    return Page("health", "Health", {table.name: table}, {"problems": found, "is_running": state["daemon"]["running"]})


def checks(environ: Mapping[str, str]) -> Page:
    """Return what ``doctor`` says."""
    # It imports OpenTelemetry, which no other page needs.
    from claude_hooks_otel.diagnosis.doctor import diagnose  # noqa: PLC0415

    findings = diagnose(Surroundings(environ, Path.cwd()))
    table = Table(
        "findings", "Checks", [Head(title, is_number=False) for title in ("step", "level", "observed", "what to do")]
    )
    table.rows = [
        [Cell(each.step), Cell(each.level, tone=each.level, badge=True), Cell(each.observed), Cell(each.remedy)]
        for each in findings
    ]
    table.records = [asdict(each) for each in findings]
    counts = {level: sum(each.level is level for each in findings) for level in Level}
    values: dict[str, Any] = {"findings": findings, "counts": counts, "is_healthy": not counts[Level.FAIL]}
    return Page("checks", "Checks", {table.name: table}, values)
