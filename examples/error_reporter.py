"""A custom exporter: it counts failures by agent and says so once a batch, wherever ``say`` leads.

Make it importable for the daemon (``pip install`` it, or put it on PYTHONPATH), then in ``config.toml``::

    [exporters.errors]
    class = "error_reporter:ErrorReporter"
    path = "~/claude-errors.txt"

Run by itself it shows what it does with two measurements: ``python examples/error_reporter.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from claude_monitoring.exporters import CustomExporter, MetricRecord

FAILURES = ("claude_errors_total", "claude_tasks_failed_total")


class ErrorReporter(CustomExporter):
    """Appends a line for each agent that failed.

    Args:
        path: the file; standard output without one.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self._seen: set[str] = set()

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Every measurement comes at least once: a key that was seen is not told again."""
        failures: Counter[str] = Counter()
        for metric in batch:
            if metric.name in FAILURES and metric.key not in self._seen:
                self._seen.add(metric.key)
                failures[metric.labels.get("agent", "unknown")] += round(metric.value)
        for agent, count in failures.items():
            self.say(f"{agent}: {count} failed")

    def say(self, line: str) -> None:
        """Where a line goes: put a call to your chat's web hook here."""
        if self._path is None:
            sys.stdout.write(f"{line}\n")
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


if __name__ == "__main__":
    now = datetime.now(UTC)
    twice = MetricRecord("claude_errors_total", 1, now, {"agent": "release-bot"}, key="demo:1")
    ErrorReporter().export_batch(
        [twice, twice, MetricRecord("claude_tasks_failed_total", 2, now, {"agent": "release-bot"}, key="demo:2")]
    )
