"""The committed dashboards as data: every expression, with the dashboard's variables filled in as "All"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

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

    def filled(self, span: float, bar: float = 1.0) -> str:
        """The expression for a time range of so many seconds and bars of so many."""
        return fill(self.expr, span, bar)


def fill(expr: str, span: float, bar: float = 1.0) -> str:
    """Grafana's variables as Grafana fills them in."""
    values = {
        "$__range_s": f"{span:.3f}",
        "$__range": f"{round(span * 1000)}ms",
        "$__interval": f"{round(bar * 1000)}ms",
        "$project": ".*",
        "$agent": ".*",
        "$model": ".*",
    }
    for name, value in values.items():
        expr = expr.replace(name, value)
    return expr


def panel_queries() -> Iterator[PanelQuery]:
    for path in sorted((SETUP / "grafana-dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield PanelQuery(board["uid"], panel["title"], target["expr"], bool(target.get("instant")))
