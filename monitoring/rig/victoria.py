"""Run a real VictoriaMetrics and a real vmalert on loopback."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

import yaml

from monitoring.generate import SETUP
from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.stack import PrometheusApi, Server

# The flags that docs/scale.md asks for. Without the first, VictoriaMetrics forgets after a month. Without the second, it answers a query
# whose end is now with what it had 30 s before. Without the third, a graph shows a gauge that is no longer sent for one interval instead of
# five minutes. The others are for OTLP without a Collector.
FLAGS: Final = (
    "-retentionPeriod=13",
    "-search.latencyOffset=0s",
    "-search.minStalenessInterval=5m",
    "-opentelemetry.usePrometheusNaming",
    f"-relabelConfig={SETUP / 'team' / 'victoriametrics-relabel.yml'}",
)


class VictoriaMetrics(PrometheusApi):
    """A VictoriaMetrics and a vmalert that evaluates the shipped rules. As a context manager, it starts and stops both.

    Args:
        folder: The folder for the servers' files.
        pace: The lengths of the servers' times.
        rules: Whether vmalert evaluates the shipped rules.
        flags: More command line flags for VictoriaMetrics.
    """

    def __init__(
        self, folder: Path, pace: local.Pace = local.SHIPPED, *, rules: bool = True, flags: tuple[str, ...] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.pace = pace
        ports = local.Ports.free()
        address, alerts = f"{local.LOOPBACK}:{ports.prometheus}", f"{local.LOOPBACK}:{ports.alertmanager}"
        self.url = f"http://{address}"
        self.server = Server(
            [
                str(binary("victoria-metrics")),
                f"-storageDataPath={folder / 'victoria'}",
                f"-httpListenAddr={address}",
                *FLAGS,
                *flags,
            ],
            f"{self.url}/health",
            folder / "victoria-metrics.log",
        )
        self.rules_url = f"http://{alerts}"
        self.vmalert = self._vmalert(folder, alerts) if rules else None

    def _vmalert(self, folder: Path, address: str) -> Server:
        files = folder / "vmalert-rules"
        files.mkdir()
        for path in sorted((SETUP / "rules").glob("*.yml")):
            (files / path.name).write_text(local.rules(path.read_text(encoding="utf-8"), self.pace), encoding="utf-8")
        return Server(
            [
                str(binary("vmalert")),
                f"-rule={files}/*.yml",
                f"-datasource.url={self.url}",
                f"-remoteWrite.url={self.url}",
                f"-remoteRead.url={self.url}",
                f"-evaluationInterval={self.pace.evaluation}",
                f"-httpListenAddr={address}",
                "-notifier.blackhole",
                "-rule.evalDelay=0s",
            ],
            f"{self.rules_url}/health",
            folder / "vmalert.log",
        )

    def __enter__(self) -> Self:
        self.server.start()
        if self.vmalert:
            self.vmalert.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.vmalert:
            self.vmalert.stop()
        self.server.stop()

    @property
    def through_otlp(self) -> dict[str, str]:
        """The variables that make a daemon send its metrics to VictoriaMetrics itself."""
        return {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{self.url}/opentelemetry/v1/metrics",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules that vmalert evaluates, with their health."""
        with urllib.request.urlopen(f"{self.rules_url}/api/v1/rules", timeout=30) as answer:
            return [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]


def forward(config: Path, victoria: VictoriaMetrics) -> None:
    """Make a Prometheus send all its samples to a VictoriaMetrics.

    Args:
        config: The file prometheus.yml, which changes.
        victoria: The receiver.
    """
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["remote_write"] = [{"url": f"{victoria.url}/api/v1/write", "queue_config": {"batch_send_deadline": "1s"}}]
    config.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
