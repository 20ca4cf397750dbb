"""What a team costs one Collector and one Prometheus: memory and processor time for a growing number of installations.

``python -m bench.gateway [INSTALLATIONS ...]``: each sends the totals of recorded sessions four times, as its daemon does each minute.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

from claude_hooks_otel.export.metrics import metrics_data
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.settings import OtelSettings
from monitoring.rig.stack import Stack
from tests.support.corpus import Scenario
from tests.support.replay import play

SCENARIOS = ("basic-edit", "tasks", "subagents", "files")
ROUNDS = 4
MIB = 1 << 20


def spent(process: psutil.Process) -> tuple[float, float]:
    """Seconds of processor time so far, and MiB in memory."""
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss / MIB


def main() -> None:
    """Sends, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("installations", nargs="*", type=int, default=[10, 100, 400])
    counts = parser.parse_args().installations
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        points = []
        for scenario in SCENARIOS:
            replay = play(Scenario(scenario), folder / scenario)
            points += replay.core.totals.points()
            replay.core.store.close()
        unique = list({(point.metric.name, point.labels): point for point in points}.values())
        print(f"{len(unique)} OTLP series an installation")
        for count in counts:
            with Stack(folder / f"stack-{count}") as stack:
                exporter = OTLPMetricExporter(
                    stack.through_the_collector["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/metrics"
                )
                processes = {
                    title: psutil.Process(server._process.pid)  # noqa: SLF001
                    for title, server in (("Collector", stack.collector), ("Prometheus", stack.prometheus))
                }
                before = {title: spent(process) for title, process in processes.items()}
                for _ in range(ROUNDS):
                    for number in range(count):
                        resource = service_resource(OtelSettings.from_variables({}), f"installation-{number}")
                        exporter.export(metrics_data(unique, resource, time.time_ns()))
                    time.sleep(16)  # a scrape each
                series = stack.ask("status/tsdb")["headStats"]["numSeries"]
                for title, process in processes.items():
                    seconds, mib = spent(process)
                    each = 1000 * (seconds - before[title][0]) / ROUNDS / count
                    print(
                        f"{count:5} installations  {title:10} {mib:6.0f} MiB  {each:6.2f} ms of a core a minute each  {series} series in Prometheus"
                    )
                exporter.shutdown()


if __name__ == "__main__":
    main()
