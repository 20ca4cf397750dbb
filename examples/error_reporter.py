"""A custom exporter that counts failures by agent, and reports them once per batch.

Make it importable for the daemon (``pip install`` it, or put it on PYTHONPATH). Then add it to ``config.toml``::

    [exporters.errors]
    class = "error_reporter:ErrorReporter"
    path = "~/claude-errors.txt"

Run it without a daemon to see what it does with two measurements: ``python examples/error_reporter.py``.
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
    """Writes a line for each agent with failures.

    Args:
        path: the file to append to. None writes to standard output.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = None if path is None else Path(path).expanduser()
        self._seen: set[str] = set()

    def export_batch(self, batch: Sequence[MetricRecord]) -> None:
        """Report the failures of a batch. A measurement can come more than once, so known keys are skipped."""
        failures: Counter[str] = Counter()
        for metric in batch:
            if metric.name in FAILURES and metric.key not in self._seen:
                self._seen.add(metric.key)
                failures[metric.labels.get("agent", "unknown")] += round(metric.value)
        for agent, count in failures.items():
            self.say(f"{agent}: {count} failed")

    def say(self, line: str) -> None:
        """Write a line. Replace this with a call to the web hook of your chat."""
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
