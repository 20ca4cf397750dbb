"""Run a real Jaeger and a real VictoriaLogs on loopback, with the shipped configuration, and read what they have."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.stack import Server


class Stores:
    """A Jaeger and a VictoriaLogs. As a context manager, it starts and stops both.

    Args:
        folder: The folder for the servers' files.
    """

    def __init__(self, folder: Path) -> None:
        self.ports = local.StorePorts.free()
        config = folder / "jaeger.yml"
        config.write_text(local.jaeger(local.shipped("jaeger.yml"), self.ports), encoding="utf-8")
        self.jaeger = Server(
            [str(binary("jaeger")), "--config", str(config)],
            f"http://{local.LOOPBACK}:{self.ports.jaeger_health}/status",
            folder / "jaeger.log",
            {"JAEGER_DIRECTORY": str(folder / "badger")},
        )
        self.victorialogs = Server(
            [
                str(binary("victoria-logs")),
                f"-storageDataPath={folder / 'victorialogs'}",
                f"-httpListenAddr={local.LOOPBACK}:{self.ports.victorialogs}",
                *local.victorialogs_flags(local.shipped("docker-compose.yml")),
            ],
            f"http://{local.LOOPBACK}:{self.ports.victorialogs}/health",
            folder / "victorialogs.log",
        )

    def __enter__(self) -> Self:
        self.jaeger.start()
        self.victorialogs.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.jaeger.stop()
        self.victorialogs.stop()

    def resource_spans(self, trace_id: str) -> list[dict[str, Any]]:
        """Return a trace as Jaeger has it, in OTLP's JSON form. Empty if it has none."""
        url = f"http://{local.LOOPBACK}:{self.ports.jaeger_query}/api/v3/traces/{trace_id}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found: list[dict[str, Any]] = json.load(answer)["result"]["resourceSpans"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return found

    def log_events(self, query: str = "*") -> Iterator[dict[str, str]]:
        """Yield the log events that match a query in LogsQL, with their fields."""
        url = f"http://{local.LOOPBACK}:{self.ports.victorialogs}/select/logsql/query"
        with urllib.request.urlopen(url, urllib.parse.urlencode({"query": query}).encode(), timeout=60) as answer:
            for line in answer:
                yield json.loads(line)
