"""Writes what is generated: ``python -m monitoring.generate``. A test fails where a committed file is not what this writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from claude_hooks_otel.metrics import catalog
from monitoring.alerts import ALERTS, BUDGET, DEFAULT_BUDGET_USD, RUNBOOK
from monitoring.dashboards.agents import agents
from monitoring.dashboards.executive import executive
from monitoring.dashboards.quality import quality
from monitoring.dashboards.technical import technical
from monitoring.expressions import CARRIED, CARRY_EVERY, carry, series_names

SETUP = Path(__file__).resolve().parent / "setup"
_NOTE = "# Written by `python -m monitoring.generate`; "


def files() -> Iterator[tuple[Path, str]]:
    """Each generated file and its content."""
    for build in (executive, agents, technical, quality):
        board = build()
        yield (
            SETUP / "grafana-dashboards" / f"{board.uid}.json",
            JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n",
        )
    yield (
        SETUP / "rules" / "claude-totals.yml",
        _NOTE + "it carries totals over times in which nobody sends.\n" + _yaml({"groups": [_totals()]}),
    )
    yield (
        SETUP / "rules" / "claude-alerts.yml",
        _NOTE
        + "RUNBOOK.md says what to do about each.\n"
        + _yaml({"groups": [{"name": "claude-alerts", "rules": [_alert(alert) for alert in ALERTS]}]}),
    )


def _totals() -> dict[str, Any]:
    rules = [
        {"record": f"{name}{CARRIED}", "expr": carry(name)}
        for metric in catalog.METRICS
        for name in series_names(metric)
    ]
    return {"name": "claude-totals", "interval": CARRY_EVERY, "rules": rules}


def _alert(alert: Any) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{RUNBOOK}#{alert.name.lower()}",
        },
    }


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=10_000, allow_unicode=True)


def budget() -> str:
    """The file in which a team writes its budgets: written once, never overwritten."""
    return (
        "# What each project may cost in 30 days, in US dollars at list prices. Yours to edit: ClaudeBudgetBurn and\n"
        "# ClaudeBudgetSpent compare with it.\n"
        + _yaml(
            {
                "groups": [
                    {"name": "claude-budget", "rules": [{"record": BUDGET, "expr": f"vector({DEFAULT_BUDGET_USD})"}]}
                ]
            }
        )
    )


def main() -> int:
    """Writes every file."""
    for path, content in files():
        path.write_text(content, encoding="utf-8")
    budget_path = SETUP / "rules" / "claude-budget.yml"
    if not budget_path.exists():
        budget_path.write_text(budget(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
