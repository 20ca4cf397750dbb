"""Run a real VictoriaMetrics and a real vmalert on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from monitoring.generate import SETUP
from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.stack import PrometheusApi, Server

# The flags that docs/scale.md asks for. Without the first, VictoriaMetrics forgets after a month. Without the second, a query whose end
# is now answers for a time range that ends 30 s earlier.
FLAGS: Final = ("-retentionPeriod=13", "-search.latencyOffset=0s")


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
        files.mkdir(parents=True)
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
