"""``doctor``: checks every step between a session and the endpoint, and says what is wrong and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import JsonOption, print_json, print_rows
from claude_hooks_otel.diagnosis.doctor import diagnose
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings

_COLOURS = {Level.OK: "green", Level.INFO: "cyan", Level.WARN: "yellow", Level.FAIL: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel doctor --prometheus http://localhost:9090")
    def doctor(
        as_json: JsonOption = False,
        prometheus: Annotated[
            str | None,
            typer.Option("--prometheus", metavar="URL", help="Ask this Prometheus whether the data arrived."),
        ] = None,
    ) -> None:
        """Check every step between a session and the endpoint. The exit code is 1 if one is broken."""
        findings = diagnose(Surroundings(os.environ, Path.cwd(), prometheus_url=prometheus))
        healthy = all(finding.level is not Level.FAIL for finding in findings)
        if as_json:
            print_json("doctor", ok=healthy, findings=[asdict(finding) for finding in findings])
        else:
            _print(findings)
        if not healthy:
            raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.level) for finding in findings)
    names = [f"{finding.level:{width}}  {finding.step}" for finding in findings]
    texts = [f"{finding.observed}\n→ {finding.remedy}" if finding.remedy else finding.observed for finding in findings]
    colours = {name: _COLOURS[finding.level] for name, finding in zip(names, findings, strict=True)}
    print_rows(zip(names, texts, strict=True), colours)
