"""A million measurements into PostgreSQL through the exporter, beside a bare COPY of the same rows into a table without any key.

Starts a server of its own, on loopback. Both sides are fed by psycopg, row by row, from this one process.

    python -m bench.postgresql [--rows 1000000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.support import compare, spread
from claude_hooks_otel.delivery.measurements import BATCH
from claude_hooks_otel.export.custom.base import MetricRecord
from claude_hooks_otel.export.custom.postgresql import PostgreSQL

BAR = 0.5
COLUMNS = "key, at, name, kind, unit, value, labels"
TABLE = "key text, at timestamptz, name text, kind text, unit text, value double precision, labels jsonb"


def records(count: int, store: str) -> Iterator[MetricRecord]:
    """Measurements of twenty agents, thirty metrics, over two months."""
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
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="of each side, in turns")
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
    print(f"exporter:  {spread(ours, 'rows/s', 0)}; every row is there once")
    print(f"bare COPY: {spread(bare, 'rows/s', 0)}")
    return 0 if compare(statistics.median(ours), statistics.median(bare), BAR, at_least=True) else 1


if __name__ == "__main__":
    sys.exit(main())
