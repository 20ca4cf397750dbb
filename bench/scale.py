"""Count what a team of many installations makes of one gateway and one store of metrics behind it.

Each installation sends the totals of recorded sessions three times, as its daemon does once a minute, through the shipped gateway with TLS
and a token. The gateway writes them to VictoriaMetrics or to Prometheus. Carried totals come on top: about as many series again, with one
sample every 15 minutes.

    python -m bench.scale [INSTALLATIONS ...]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil
import requests
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from bench.gateway import MIB, recorded_points, spent
from bench.support import command_line
from claude_hooks_otel.export.metrics import metrics_data
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.series.points import SeriesPoint
from claude_hooks_otel.settings import OtelSettings
from monitoring.rig.stack import PrometheusApi, Server, Stack
from monitoring.rig.stores import Stores
from monitoring.rig.victoria import VictoriaMetrics
from tests.support.stack.gateway import TOKEN, Gateway, bearer

ROUNDS = 3


def send(gateway: Gateway, points: list[SeriesPoint], count: int) -> None:
    """Send the totals of ``count`` installations."""
    with requests.Session() as session:
        session.headers.update(bearer(TOKEN) | {"Content-Type": "application/x-protobuf"})
        for number in range(count):
            resource = service_resource(OtelSettings.from_variables({}), f"installation-{number}")
            body = encode_metrics(metrics_data(points, resource, time.time_ns())).SerializeToString()
            url = f"https://localhost:{gateway.ports.http}/v1/metrics"
            answer = session.post(url, data=body, verify=str(gateway.authority), timeout=60)
            answer.raise_for_status()


def wait_for(store: PrometheusApi, count: int, since: float) -> tuple[int, int]:
    """Wait until the store has the last export of every installation. Return the numbers of its series and of their samples."""
    span = f"{time.time() - since + 60:.0f}s"
    while True:
        arrived = store.instant(f"min(count_over_time(claude_hooks_events_total[{span}]))").values()
        machines = store.instant(
            f"count(count by (instance) (last_over_time(claude_hooks_events_total[{span}])))"
        ).values()
        if list(machines) == [count] and list(arrived) == [ROUNDS]:
            break
        time.sleep(1)
    names = [name for name in store.ask("label/__name__/values") if name.startswith("claude_")]
    each = [store.instant(f"count_over_time({name}[{span}])").values() for name in names]
    return sum(len(values) for values in each), round(sum(sum(values) for values in each))


def measure(
    title: str, folder: Path, store: PrometheusApi, server: Server, points: list[SeriesPoint], count: int
) -> None:
    """Run a gateway in front of a store, and print what ``count`` installations cost both."""
    gateway = Gateway(folder, store, Stores(folder))
    server.start()
    gateway.server.start()
    try:
        processes = {"gateway": psutil.Process(gateway.server.pid), title: psutil.Process(server.pid)}
        before = {name: spent(process) for name, process in processes.items()}
        since = time.time()
        for _ in range(ROUNDS):
            send(gateway, points, count)
        series, samples = wait_for(store, count, since)
        for name, process in processes.items():
            seconds, mib = spent(process)
            each = 1000 * (seconds - before[name][0]) / ROUNDS / count
            print(
                f"{count:6} installations  {name:16} {mib:6.0f} MiB  {each:6.2f} ms of processor time for each export"
                f"  {series} series  {samples} samples",
                flush=True,
            )
    finally:
        gateway.server.stop(kill=True)
        server.stop()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "victoria/" in str(path))
    if size:
        print(f"{'':20}  {title:16} {size / MIB:6.1f} MiB on disk, most of it the index")


def main() -> None:
    """Run the benchmark for each number of installations."""
    parser = command_line(__doc__)
    parser.add_argument(
        "installations", nargs="*", type=int, default=[10, 100, 1000], help="how many, one run for each"
    )
    counts = parser.parse_args().installations
    with tempfile.TemporaryDirectory() as name:
        points = recorded_points(Path(name))
        for count in counts:
            folder = Path(name) / f"victoria-{count}"
            victoria = VictoriaMetrics(folder, rules=False)
            measure("VictoriaMetrics", folder, victoria, victoria.server, points, count)
            folder = Path(name) / f"prometheus-{count}"
            stack = Stack(folder, flags=("--web.enable-remote-write-receiver",))
            measure("Prometheus", folder, stack, stack.prometheus, points, count)


if __name__ == "__main__":
    main()
