"""Read the expressions of the committed dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from monitoring.expressions import fill
from monitoring.generate import SETUP


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One expression of one panel."""

    board: str
    panel: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}"

    def filled(self, span: float, bar: float = 1.0, **chosen: str) -> str:
        """Return the expression with Grafana's variables filled in; ``span`` and ``bar`` are in seconds."""
        return fill(self.expr, span, bar, chosen)


def boards() -> list[dict[str, Any]]:
    """Return the committed dashboards."""
    paths = sorted((SETUP / "grafana-dashboards").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def annotation_queries() -> dict[str, PanelQuery]:
    """Return what the dashboards mark on their graphs, by name. All of them mark the same."""
    return {
        each["name"]: PanelQuery(board["uid"], each["name"], each["expr"], instant=False)
        for board in boards()
        for each in board["annotations"]["list"]
    }


def panel_queries() -> Iterator[PanelQuery]:
    for board in boards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield PanelQuery(board["uid"], panel["title"], target["expr"], bool(target.get("instant")))


def rule_expressions() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of every shipped rule, alerts too."""
    for path in sorted((SETUP / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield rule.get("record") or rule["alert"], rule["expr"]
