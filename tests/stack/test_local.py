"""The configuration of the tests is the shipped one. Only addresses, folders and times differ."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from monitoring.generate import SETUP, files
from monitoring.rig import local

PORTS = local.Ports(1, 2, 3, 4, 5, 6, 7)


def changed(name: str, text: str) -> set[str]:
    return set(local.differences(yaml.safe_load(local.shipped(name)), yaml.safe_load(text)))


def test_the_collectors_file_differs_only_in_addresses_and_the_expiration(tmp_path: Path) -> None:
    name = "otel-collector-config.yml"
    assert changed(name, local.collector(local.shipped(name), PORTS, tmp_path, local.HASTE)) == {
        "extensions.health_check.endpoint",
        "extensions.file_storage.directory",
        "exporters.otlp_http/traces.traces_endpoint",
        "exporters.otlp_http/logs.logs_endpoint",
        "receivers.otlp.protocols.grpc.endpoint",
        "receivers.otlp.protocols.http.endpoint",
        "exporters.prometheus.endpoint",
        "exporters.prometheus.metric_expiration",
        "service.telemetry.metrics.readers[0].pull.exporter.prometheus.host",
        "service.telemetry.metrics.readers[0].pull.exporter.prometheus.port",
    }


def test_the_file_of_jaeger_differs_only_in_addresses() -> None:
    places = changed("jaeger.yml", local.jaeger(local.shipped("jaeger.yml"), local.StorePorts.free()))
    assert all(place.endswith((".endpoint", ".host", ".port")) for place in places), places


def test_victorialogs_runs_with_the_flags_of_the_compose_file() -> None:
    flags = local.victorialogs_flags(local.shipped("docker-compose.yml"))
    assert flags == ["-retentionPeriod=90d", "-inmemoryDataFlushInterval=1s"]


def test_the_file_of_prometheus_differs_only_in_addresses_the_folder_and_the_intervals(tmp_path: Path) -> None:
    name = "prometheus.yml"
    places = changed(name, local.prometheus(local.shipped(name), PORTS, tmp_path, local.HASTE))
    assert {re.sub(r"\[\d+\]", "[]", place) for place in places} == {
        "global.scrape_interval",
        "global.evaluation_interval",
        "rule_files[]",
        "alerting.alertmanagers[].static_configs[].targets[]",
        "scrape_configs[].static_configs[].targets[]",
    }


def test_the_rules_differ_only_in_ranges_the_interval_and_how_long_an_alert_waits() -> None:
    for path in (SETUP / "rules").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert yaml.safe_load(local.rules(text, local.SHIPPED)) == yaml.safe_load(text)
        content = local.differences(yaml.safe_load(text), yaml.safe_load(local.rules(text, local.HASTE)))
        for place, (before, after) in content.items():
            assert place.endswith((".interval", ".for", ".expr"))
            if place.endswith(".expr"):
                assert re.sub(r"\[\w+\]", "[]", str(before)) == re.sub(r"\[\w+\]", "[]", str(after))


def test_the_committed_files_are_what_the_generator_writes() -> None:
    """If it fails, run: python -m monitoring.generate."""
    for path, content in files():
        assert path.read_text(encoding="utf-8") == content, path.name


@pytest.mark.parametrize(
    "name", ["otel-collector-config.yml", "otel-collector-vendor.yml", "team/agent.yml", "team/gateway.yml"]
)
def test_spans_and_log_events_wait_on_disk_without_a_limit_in_time(name: str) -> None:
    """Nothing that keeps items in memory is before the queue: not the processor ``batch``, not a queue without a store."""
    config = yaml.safe_load(local.shipped(name))
    for signal in ("traces", "logs"):
        pipeline = config["service"]["pipelines"][signal]
        assert "batch" not in pipeline.get("processors", ())
        exporters = [each for each in pipeline["exporters"] if each in config["exporters"] and each != "debug"]
        assert exporters
        for exporter in (config["exporters"][each] for each in exporters):
            assert exporter["sending_queue"]["storage"] == "file_storage"
            assert exporter["retry_on_failure"]["max_elapsed_time"] in (0, "0s")
    if "extensions" in config:
        assert config["extensions"]["file_storage"]["fsync"] is True
