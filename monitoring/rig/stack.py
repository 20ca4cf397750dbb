"""Run a real Collector and a real Prometheus on loopback, with the shipped configuration files."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from monitoring.generate import SETUP
from monitoring.rig import local
from monitoring.rig.build import binary

# Seconds until a server must answer. Both need about one.
START_TIMEOUT = 30.0

Labels = frozenset[tuple[str, str]]


class Server:
    """The process of one server.

    Args:
        arguments: The command line. It may change before the start.
        ready: A URL that answers 200 when the server is ready.
        log: The file for the server's output.
        environ: Variables in addition to ``PATH``.
    """

    def __init__(self, arguments: list[str], ready: str, log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.arguments, self._ready, self._log = arguments, ready, log
        self._environ = {"PATH": "/usr/bin:/bin", **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.arguments, stdout=log, stderr=log, env=self._environ)
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(self._ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self.arguments[0]} is not ready:\n{tail}")
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the running server."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, *, kill: bool = False) -> None:
        """Stop the server with SIGTERM, or with SIGKILL if ``kill`` is set."""
        if self._process is not None:
            if kill:
                self._process.kill()
            else:
                self._process.terminate()
            process, self._process = self._process, None
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


class PrometheusApi:
    """The queries that Prometheus and compatible servers answer.

    Attributes:
        url: The server's address. Its API is below ``/api/v1``.
        pace: The lengths of the ranges in expressions.
    """

    url: str
    pace: local.Pace

    def ask(self, path: str, **parameters: str | float) -> Any:
        """Return the ``data`` of an answer of Prometheus's HTTP API.

        Raises:
            ValueError: Prometheus refuses the request; the error has its message.
        """
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", body or None, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from None

    def instant(self, expression: str, at: float | None = None) -> dict[Labels, float]:
        """Return the value of each label set of an expression, at a time in Unix seconds or now."""
        parameters: dict[str, str | float] = {"query": self.pace.expression(expression)}
        if at is not None:
            parameters["time"] = f"{at:.3f}"
        result = self.ask("query", **parameters)["result"]
        return {frozenset(element["metric"].items()): float(element["value"][1]) for element in result}

    def over_time(
        self, expression: str, start: float, end: float, step: float
    ) -> dict[Labels, list[tuple[float, float]]]:
        """Return the points of each label set of an expression, at each step from ``start`` to ``end``."""
        result = self.ask(
            "query_range",
            query=self.pace.expression(expression),
            start=f"{start:.3f}",
            end=f"{end:.3f}",
            step=f"{step:.3f}",
        )["result"]
        return {
            frozenset(element["metric"].items()): [(float(at), float(value)) for at, value in element["values"]]
            for element in result
        }


class Stack(PrometheusApi):
    """A Collector and a Prometheus. As a context manager, it starts and stops both.

    Args:
        folder: The folder for the servers' files.
        pace: The lengths of the servers' times.
        flags: More command line flags for Prometheus.
        stores: Where the Collector sends traces and log events. Without it, they wait in its queue.
    """

    def __init__(
        self,
        folder: Path,
        pace: local.Pace = local.SHIPPED,
        flags: tuple[str, ...] = (),
        stores: local.StorePorts | None = None,
    ) -> None:
        self.pace, self.ports = pace, local.Ports.free()
        rules = folder / "rules"
        rules.mkdir(parents=True)
        for path in sorted((SETUP / "rules").glob("*.yml")):
            (rules / path.name).write_text(local.rules(path.read_text(encoding="utf-8"), pace), encoding="utf-8")
        collector_config, prometheus_config = folder / "collector.yml", folder / "prometheus.yml"
        collector_config.write_text(
            local.collector(local.shipped("otel-collector-config.yml"), self.ports, folder, pace, stores),
            encoding="utf-8",
        )
        prometheus_config.write_text(
            local.prometheus(local.shipped("prometheus.yml"), self.ports, rules, pace), encoding="utf-8"
        )
        self._folder = folder
        self.url = f"http://{local.LOOPBACK}:{self.ports.prometheus}"
        self.collector = Server(
            [str(binary("otelcol")), "--config", str(collector_config)],
            f"http://{local.LOOPBACK}:{self.ports.health}",
            folder / "collector.log",
        )
        self.prometheus = Server(
            [
                str(binary("prometheus")), f"--config.file={prometheus_config}", f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={local.LOOPBACK}:{self.ports.prometheus}", "--web.enable-otlp-receiver",
                "--storage.tsdb.retention.time=400d", "--enable-feature=exemplar-storage",
                *flags,
            ],
            f"{self.url}/-/ready", folder / "prometheus.log",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.collector.start()
        self.prometheus.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.collector.stop()
        self.prometheus.stop()

    @property
    def through_the_collector(self) -> dict[str, str]:
        """The variables that make a daemon send its metrics to the Collector."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{local.LOOPBACK}:{self.ports.http}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    @property
    def straight_to_prometheus(self) -> dict[str, str]:
        """The variables that make a daemon send its metrics to Prometheus's own OTLP receiver."""
        return {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{self.url}/api/v1/otlp/v1/metrics",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    def backfill(self, samples: Path, *flags: str) -> None:
        """Write OpenMetrics text into Prometheus's storage as blocks, before Prometheus starts."""
        command = [str(binary("promtool")), "tsdb", "create-blocks-from", "openmetrics", *flags, str(samples)]
        subprocess.run([*command, str(self._folder / "tsdb")], check=True, capture_output=True)

    def reload(self) -> None:
        """Make Prometheus read its configuration and its rules again. Return when it has."""
        before = self.ask("status/runtimeinfo")["lastConfigTime"]
        self.prometheus.send(signal.SIGHUP)
        deadline = time.monotonic() + START_TIMEOUT
        while self.ask("status/runtimeinfo")["lastConfigTime"] == before:
            if time.monotonic() > deadline:
                raise RuntimeError("Prometheus does not read its configuration again")
            time.sleep(0.05)
