"""Adapt the shipped configuration files to loopback: other addresses and folders, and shorter times.

Nothing else changes: tests/stack/test_local.py compares the adapted files with the shipped ones, value by value.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from monitoring.expressions import CARRY_EVERY, RECENT, REMEMBERED
from monitoring.generate import SETUP

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pace:
    """The lengths of the shipped times, as Prometheus and the Collector write durations."""

    scrape: str = "15s"
    evaluation: str = "30s"
    carry: str = CARRY_EVERY
    recent: str = RECENT
    remembered: str = REMEMBERED
    expiration: str = "5m"
    hold: str = ""  # of every alert; with "" the alerts keep theirs

    def expression(self, text: str) -> str:
        """Return an expression with this pace's ranges. In the shipped files, the two ranges occur only in brackets."""
        return text.replace(f"[{RECENT}]", f"[{self.recent}]").replace(f"[{REMEMBERED}]", f"[{self.remembered}]")


SHIPPED: Final = Pace()
# A minute takes about a quarter of a second, so a "night" without data takes a few seconds.
HASTE: Final = Pace(
    scrape="500ms", evaluation="1s", carry="500ms", recent="5s", remembered="15m", expiration="3s", hold="1s"
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of the servers, all on loopback."""

    grpc: int
    http: int
    metrics: int
    internal: int
    health: int
    prometheus: int
    alertmanager: int

    @classmethod
    def free(cls) -> Ports:
        """Return ports that are free now."""
        return cls(*_free(len(cls.__dataclass_fields__)))


@dataclass(frozen=True, slots=True)
class StorePorts:
    """The ports of the stores of traces and log events, all on loopback."""

    jaeger_otlp: int
    jaeger_query: int
    jaeger_query_grpc: int
    jaeger_health: int
    jaeger_internal: int
    victorialogs: int

    @classmethod
    def free(cls) -> StorePorts:
        """Return ports that are free now."""
        return cls(*_free(len(cls.__dataclass_fields__)))


def _free(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def shipped(name: str) -> str:
    """Return the text of a file in monitoring/setup."""
    return (SETUP / name).read_text(encoding="utf-8")


def collector(text: str, ports: Ports, folder: Path, pace: Pace = SHIPPED, stores: StorePorts | None = None) -> str:
    """Return an adapted Collector configuration. Without ``stores``, traces and log events wait in its queue."""
    config = yaml.safe_load(text)
    config["extensions"]["health_check"]["endpoint"] = f"{LOOPBACK}:{ports.health}"
    if "file_storage" in config["extensions"]:
        config["extensions"]["file_storage"]["directory"] = str(folder / f"queue-{ports.grpc}")
    config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = f"{LOOPBACK}:{ports.grpc}"
    config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = f"{LOOPBACK}:{ports.http}"
    if "prometheus" in config["exporters"]:
        config["exporters"]["prometheus"]["endpoint"] = f"{LOOPBACK}:{ports.metrics}"
        config["exporters"]["prometheus"]["metric_expiration"] = pace.expiration
    for exporter, (key, address) in _store_addresses(stores).items():
        if exporter in config["exporters"] and not config["exporters"][exporter][key].startswith("${"):
            config["exporters"][exporter][key] = address
    _set_internal(config, ports.internal)
    return _dump(config)


def _store_addresses(stores: StorePorts | None) -> Mapping[str, tuple[str, str]]:
    """Return exporter → the key of its address, and the address."""
    traces, logs = (stores.jaeger_otlp, stores.victorialogs) if stores else (9, 9)  # nothing answers at port 9
    return {
        "otlp_http/traces": ("traces_endpoint", f"http://{LOOPBACK}:{traces}/v1/traces"),
        "otlp_http/logs": ("logs_endpoint", f"http://{LOOPBACK}:{logs}/insert/opentelemetry/v1/logs"),
    }


def _set_internal(config: Any, port: int) -> None:
    internal = config["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]
    internal["host"], internal["port"] = LOOPBACK, port


def jaeger(text: str, ports: StorePorts) -> str:
    """Return an adapted configuration of Jaeger."""
    config = yaml.safe_load(text)
    extensions = config["extensions"]
    extensions["healthcheckv2"]["http"]["endpoint"] = f"{LOOPBACK}:{ports.jaeger_health}"
    extensions["jaeger_query"]["http"]["endpoint"] = f"{LOOPBACK}:{ports.jaeger_query}"
    extensions["jaeger_query"]["grpc"]["endpoint"] = f"{LOOPBACK}:{ports.jaeger_query_grpc}"
    config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = f"{LOOPBACK}:{ports.jaeger_otlp}"
    _set_internal(config, ports.jaeger_internal)
    return _dump(config)


def victorialogs_flags(compose: str) -> list[str]:
    """Return the flags with which the shipped compose file starts VictoriaLogs, without its folder and address. Variables have their defaults."""
    command = yaml.safe_load(compose)["services"]["victorialogs"]["command"]
    kept = [flag for flag in command if not flag.startswith(("-storageDataPath", "-httpListenAddr"))]
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", flag) for flag in kept]


def prometheus(text: str, ports: Ports, rules: Path, pace: Pace = SHIPPED) -> str:
    """Return an adapted prometheus.yml."""
    config = yaml.safe_load(text)
    config["global"] = {"scrape_interval": pace.scrape, "evaluation_interval": pace.evaluation}
    config["rule_files"] = [str(rules / "*.yml")]
    addresses = {
        "otel-collector:8889": ports.metrics,
        "otel-collector:8888": ports.internal,
        "localhost:9090": ports.prometheus,
        "alertmanager:9093": ports.alertmanager,
    }
    for scrape in (*config["scrape_configs"], *config["alerting"]["alertmanagers"]):
        for static in scrape["static_configs"]:
            static["targets"] = [f"{LOOPBACK}:{addresses[target]}" for target in static["targets"]]
    return _dump(config)


def rules(text: str, pace: Pace) -> str:
    """Return an adapted file of rules."""
    content = yaml.safe_load(text)
    for group in content["groups"]:
        if "interval" in group:
            group["interval"] = pace.carry
        for rule in group["rules"]:
            rule["expr"] = pace.expression(rule["expr"])
            if "for" in rule and pace.hold:
                rule["for"] = pace.hold
    return _dump(content)


def differences(left: Any, right: Any, path: str = "") -> Mapping[str, tuple[Any, Any]]:
    """Return both values of every place in which two parsed files differ, by the path of the place."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {
            place: pair
            for key in left.keys() | right.keys()
            for place, pair in differences(left.get(key), right.get(key), f"{path}.{key}").items()
        }
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return {
            place: pair
            for key, (one, other) in enumerate(zip(left, right, strict=True))
            for place, pair in differences(one, other, f"{path}[{key}]").items()
        }
    return {} if left == right else {re.sub(r"^\.", "", path): (left, right)}


def _dump(config: Any) -> str:
    text: str = yaml.safe_dump(config, sort_keys=False, width=10_000)
    return text
