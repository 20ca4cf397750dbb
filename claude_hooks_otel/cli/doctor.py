"""``doctor``: checks every link between a session and the endpoint, and says what is wrong and what to do."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from claude_hooks_otel.cli.console import fail, out
from claude_hooks_otel.diagnosis import capture, custom_exporters, state
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, run_checks

_COLOURS = {Level.OK: "green", Level.INFO: "cyan", Level.WARN: "yellow", Level.FAIL: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        as_json: Annotated[bool, typer.Option("--json", help="Print machine-readable JSON.")] = False,
        prometheus: Annotated[
            str | None,
            typer.Option("--prometheus", metavar="URL", help="Ask this Prometheus whether the data arrived."),
        ] = None,
    ) -> None:
        """Check every link between a session and the endpoint. The exit code is 1 if one is broken."""
        try:
            findings = diagnose(Surroundings(os.environ, Path.cwd(), prometheus_url=prometheus))
        except RuntimeError as error:
            fail(escape(str(error)))
        healthy = all(finding.level is not Level.FAIL for finding in findings)
        if as_json:
            typer.echo(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
        else:
            out.print(_table(findings))
        if not healthy:
            raise typer.Exit(1)


def diagnose(surroundings: Surroundings) -> list[Finding]:
    """Check every link, in the order in which an event travels.

    Raises:
        RuntimeError: no environment variable names a home.
    """
    # These import OpenTelemetry, which other commands do not need.
    from claude_hooks_otel.diagnosis import export, prometheus  # noqa: PLC0415

    _ = surroundings.home
    checks = (*capture.CHECKS, *state.CHECKS, *export.CHECKS, *custom_exporters.CHECKS, *prometheus.CHECKS)
    return list(run_checks(checks, surroundings))


def _table(findings: list[Finding]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour = _COLOURS[finding.level]
        remedy = f"\n[{colour}]→[/] {escape(finding.remedy)}" if finding.remedy else ""
        table.add_row(f"[{colour}]{finding.level}[/]", finding.link, escape(finding.observed) + remedy)
    return table
