"""Takes snapshots of every series: totals from the store, gauges from the facts, and gauges of the product's own health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from claude_hooks_otel.delivery import outbox
from claude_hooks_otel.delivery.exporter_state import read_states
from claude_hooks_otel.delivery.metrics import Snapshot
from claude_hooks_otel.facts.pricing import price_table_version
from claude_hooks_otel.facts.repository import Facts
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.budgets import BudgetState, budget_points
from claude_hooks_otel.series.exemplars import Exemplars
from claude_hooks_otel.series.gauges import gauges
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.series.program_gauges import program_gauges
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.traces.model import LOGS, TRACES


class ReadsBudgets(Protocol):
    """Returns the state of every budget."""

    def __call__(self, *, recompute: bool = False) -> list[BudgetState]:
        """Return the states, as they are now if ``recompute`` is true."""


def _no_budgets(*, recompute: bool = False) -> list[BudgetState]:  # noqa: ARG001 — as ReadsBudgets
    return []


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Takes snapshots of one store.

    Args:
        facts: the facts from which gauges are computed.
        totals: the cumulative series.
        exemplars: the exemplars of histograms.
        scores: the scores of agents.
        spool_depth: returns how many events wait in the spool.
        is_config_bad: whether the configuration file cannot be used.
        budgets: returns the state of every budget, as it is now if ``recompute`` is true.
    """

    facts: Facts
    totals: SeriesTotals
    exemplars: Exemplars
    scores: Scores
    spool_depth: Callable[[], int]
    is_config_bad: bool = False
    budgets: ReadsBudgets = _no_budgets

    def take(self, *, recompute: bool = False) -> Snapshot:
        """Return every series as it is now. With ``recompute``, even the scores are computed again."""
        now_ns = self.facts.store.now_ns()
        series = list(self.totals.points())
        computed = self._computed(series, now_ns, recompute=recompute)
        declared = program_gauges(self.facts.connection, computed)
        points = [*self.exemplars.added_to(series), *computed, *declared]
        return Snapshot(self.totals.changes, now_ns, points)

    def gauges(self) -> list[SeriesPoint]:
        """Return every computed gauge as it is now."""
        return self._computed(list(self.totals.points()), self.facts.store.now_ns(), recompute=False)

    def _computed(self, series: list[SeriesPoint], now_ns: int, *, recompute: bool) -> list[SeriesPoint]:
        scores = self.scores.points(series, now_ns, recompute=recompute)
        budgets = budget_points(self.budgets(recompute=recompute), now_ns)
        return [*gauges(self.facts, now_ns), *scores, *budgets, *self._health(now_ns)]

    def _health(self, now_ns: int) -> list[SeriesPoint]:
        found = [
            SeriesPoint(catalog.SPOOL_DEPTH, (), now_ns, self.spool_depth()),
            SeriesPoint(catalog.PRICE_TABLE, (("version", price_table_version()),), now_ns, 1),
            SeriesPoint(catalog.CONFIGURATION_ERROR, (), now_ns, int(self.is_config_bad)),
        ]
        waiting = outbox.depth(self.facts.connection)
        states = read_states(self.facts.connection)
        for state in states:
            if state.signal == "metrics" and state.accepted_ns:
                age = max(0, now_ns - state.accepted_ns)
                found.append(SeriesPoint(catalog.EXPORT_AGE, (("exporter", state.name),), now_ns, age))
        for signal in sorted({state.signal for state in states} & {TRACES, LOGS}):
            depth = waiting.get(signal, 0)
            found.append(SeriesPoint(catalog.RECORDS_WAITING, (("signal", signal),), now_ns, depth))
        return found
