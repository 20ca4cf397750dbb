"""Compare the PostgreSQL exporter with a bare COPY of the same rows into a table without a key.

The benchmark starts its own server on loopback. psycopg feeds both sides row by row, from this process.

    python -m bench.postgresql [--rows 1000000]
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.support import command_line, compare, spread
from claude_hooks_otel.delivery.measurements import BATCH
from claude_hooks_otel.export.custom.base import MetricRecord
from claude_hooks_otel.export.custom.postgresql import PostgreSQL

BAR = 0.5
COLUMNS = "key, at, name, kind, unit, value, labels"
TABLE = "key text, at timestamptz, name text, kind text, unit text, value double precision, labels jsonb"


def records(count: int, store: str) -> Iterator[MetricRecord]:
    """Yield measurements of twenty agents and thirty metrics, one every five seconds."""
    begun = datetime(2026, 3, 15, tzinfo=UTC)
    labels = [
        {"agent": f"agent-{n % 20}", "project": f"project-{n % 3}", "tool": f"tool-{n % 7}", "outcome": "success"}
        for n in range(420)
    ]
    for number in range(count):
        yield MetricRecord(
            f"claude_metric_{number % 30}_total", number / 8, begun + timedelta(seconds=number * 5), labels[number % 420],
            "counter", "{value}", f"{store}:{number:015}",
        )  # fmt: skip


def main() -> int:
    """Run both sides in turns and print the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many measurements to write in each run")
    parser.add_argument("--runs", type=int, default=3, help="how often to run each side")
    options = parser.parse_args()
    from tests.support.postgresql_server import missing, server  # noqa: PLC0415

    if reason := missing():
        print(reason)
        return 2
    ours: list[float] = []
    bare: list[float] = []
    with server() as running:
        for run in range(options.runs):
            everything = list(records(options.rows, f"00000000-0000-4000-8000-{run:012}"))
            rows = [(m.key, m.timestamp, m.name, m.kind, m.unit, m.value, json.dumps(m.labels)) for m in everything]
            with running.connect() as connection:
                connection.execute(f"DROP TABLE IF EXISTS bare; CREATE TABLE bare ({TABLE})")
                began = time.perf_counter()
                with connection.cursor() as cursor, cursor.copy(f"COPY bare ({COLUMNS}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
                bare.append(options.rows / (time.perf_counter() - began))
                connection.execute("CHECKPOINT")
            del rows
            exporter = PostgreSQL(running.conninfo)
            exporter.start()
            source = iter(everything)
            began = time.perf_counter()
            while batch := list(itertools.islice(source, BATCH)):
                exporter.export_batch(batch)
            ours.append(options.rows / (time.perf_counter() - began))
            exporter.shutdown()
            with running.connect() as connection:
                (stored,) = connection.execute("SELECT count(*) FROM claude_metrics.measurement").fetchone()
                connection.execute("CHECKPOINT")
            assert stored == (run + 1) * options.rows
    print(f"exporter:  {spread(ours, 'rows/s', 0)}; every row is stored once")
    print(f"bare COPY: {spread(bare, 'rows/s', 0)}")
    return 0 if compare(statistics.median(ours), statistics.median(bare), BAR, at_least=True) else 1


if __name__ == "__main__":
    sys.exit(main())
