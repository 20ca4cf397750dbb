"""Measure the memory and processor time of one Collector and one Prometheus for a growing number of installations.

Each installation sends the totals of recorded sessions four times, as its daemon does once a minute.

    python -m bench.gateway [INSTALLATIONS ...]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

from bench.support import command_line
from claude_hooks_otel.export.metrics import metrics_data
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import OtelSettings
from monitoring.rig.stack import Stack
from tests.support.corpus import Scenario
from tests.support.replay import play

SCENARIOS = ("basic-edit", "tasks", "subagents", "files")
ROUNDS = 4
MIB = 1 << 20


def spent(process: psutil.Process) -> tuple[float, float]:
    """Return the seconds of processor time so far, and the resident memory in MiB."""
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss / MIB


def recorded_points(folder: Path) -> list[SeriesPoint]:
    """Return the totals of the recorded scenarios, each series once."""
    points: list[SeriesPoint] = []
    for scenario in SCENARIOS:
        replay = play(Scenario(scenario), folder / scenario)
        points += replay.core.totals.points()
        replay.core.store.close()
    return list({(point.metric.name, point.labels): point for point in points}.values())


def measure(stack: Stack, points: list[SeriesPoint], count: int) -> None:
    """Send the totals of ``count`` installations and print what that costs both servers."""
    exporter = OTLPMetricExporter(stack.through_the_collector["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/metrics")
    servers = (("Collector", stack.collector), ("Prometheus", stack.prometheus))
    processes = {title: psutil.Process(server.pid) for title, server in servers}
    before = {title: spent(process) for title, process in processes.items()}
    for _ in range(ROUNDS):
        for number in range(count):
            resource = service_resource(OtelSettings.from_variables({}), f"installation-{number}")
            exporter.export(metrics_data(points, resource, time.time_ns()))
        time.sleep(16)  # Prometheus scrapes every 15 s
    series = stack.ask("status/tsdb")["headStats"]["numSeries"]
    for title, process in processes.items():
        seconds, mib = spent(process)
        each = 1000 * (seconds - before[title][0]) / ROUNDS / count
        print(
            f"{count:5} installations  {title:10} {mib:6.0f} MiB"
            f"  {each:6.2f} ms of processor time a minute for each  {series} series in Prometheus"
        )
    exporter.shutdown()


def main() -> None:
    """Run the benchmark for each number of installations."""
    parser = command_line(__doc__)
    parser.add_argument("installations", nargs="*", type=int, default=[10, 100, 400], help="how many, one run for each")
    counts = parser.parse_args().installations
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = recorded_points(folder)
        print(f"{len(points)} OTLP series for each installation")
        for count in counts:
            with Stack(folder / f"stack-{count}") as stack:
                measure(stack, points, count)


if __name__ == "__main__":
    main()
