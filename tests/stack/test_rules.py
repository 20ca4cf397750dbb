"""Prometheus, Alertmanager and the Collector accept the shipped files. Alerts fire, and totals are exact over a real week."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from claude_hooks_otel.metrics import catalog
from monitoring.alerts import ALERTS
from monitoring.expressions import Series
from monitoring.generate import SETUP
from monitoring.rig.build import binary
from tests.support.stack.panels import panel_queries

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("servers")]
MONITORING = SETUP.parent


def run(name: str, *arguments: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(binary(name)), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    run("promtool", "check", "config", SETUP / "prometheus.yml")
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted((SETUP / "rules").glob("*.yml")))


def test_amtool_accepts_the_configuration() -> None:
    run("amtool", "check-config", SETUP / "alertmanager.yml")


COMPOSE = SETUP / "docker-compose.yml"
COMPOSE_VENDOR = SETUP / "docker-compose.vendor.yml"
SERVICES = {"volumes", "otel-collector", "prometheus", "jaeger", "victorialogs", "alertmanager", "grafana"}
SECRETS = {"GRAFANA_ADMIN_PASSWORD", "VENDOR_OTLP_ENDPOINT", "VENDOR_OTLP_API_KEY"}


def test_compose_loads_the_file_and_requires_a_password() -> None:
    """The test uses the library of `docker compose config`, which needs no engine."""
    project = yaml.safe_load(run("compose", COMPOSE, GRAFANA_ADMIN_PASSWORD="chosen"))
    assert set(project["services"]) == SERVICES
    for name, service in project["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        for volume in service["volumes"]:
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume
    services = project["services"].values()
    published = {int(port["published"]) for service in services for port in service.get("ports", ())}
    assert published >= {4317, 4318, 8889, 9090, 9093, 3000, 16686, 9428}
    environ = {name: value for name, value in os.environ.items() if name not in SECRETS}
    refused = subprocess.run([binary("compose"), COMPOSE], capture_output=True, text=True, check=False, env=environ)
    assert refused.returncode != 0
    assert "set GRAFANA_ADMIN_PASSWORD" in refused.stderr


def test_every_container_is_confined() -> None:
    """No root, no capability, no new privilege, and a root file system that nothing can write.

    The container that gives new volumes to their users is root, may only do that, has no network, and ends.
    """
    project = yaml.safe_load(run("compose", COMPOSE, COMPOSE_VENDOR, **dict.fromkeys(SECRETS, "chosen")))
    for name, service in project["services"].items():
        user, _, _ = service["user"].partition(":")
        if name == "volumes":
            assert (service["cap_add"], service["network_mode"], service["restart"]) == (["CHOWN"], "none", "no")
        else:
            assert int(user) > 0, name
            assert "cap_add" not in service, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert not service.get("privileged"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for volume in service["volumes"]:  # configuration is read-only; the rest is the service's own data
            assert volume.get("read_only") or volume["source"].split("/")[-1].split("-")[-1] in {"data", "queue"}, (
                volume
            )


def test_the_vendor_needs_an_address_and_a_key() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in SECRETS} | {
        "GRAFANA_ADMIN_PASSWORD": "x"
    }
    command = [binary("compose"), COMPOSE, COMPOSE_VENDOR]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert refused.returncode != 0
    assert "set VENDOR_OTLP_" in refused.stderr
    project = yaml.safe_load(run("compose", COMPOSE, COMPOSE_VENDOR, **dict.fromkeys(SECRETS, "chosen")))
    assert len(project["services"]["otel-collector"]["command"]) == 2


def test_an_override_with_digests_pins_every_image(tmp_path: Path) -> None:
    """The file that `docker compose config --lock-image-digests` writes. The digests of a test are made up."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    locked = {
        name: {"image": f"{service['image']}@sha256:{name.encode().hex():0>64}"} for name, service in services.items()
    }
    override = tmp_path / "docker-compose.override.yml"
    override.write_text(yaml.safe_dump({"services": locked}), encoding="utf-8")
    project = yaml.safe_load(run("compose", COMPOSE, override, GRAFANA_ADMIN_PASSWORD="chosen"))
    assert {name: {"image": service["image"]} for name, service in project["services"].items()} == locked


# Jaeger's modules have the versions of Jaeger 1, its images those of Jaeger 2: module 1.76.0 is image 2.13.0.
JAEGER = "2.13.0"


def test_the_images_have_the_versions_that_the_tests_run() -> None:
    images = {service["image"] for service in yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"].values()}
    modules = (MONITORING / "rig" / "prometheus" / "go.mod").read_text(encoding="utf-8")
    collector = (MONITORING / "rig" / "collector" / "go.mod").read_text(encoding="utf-8")
    (prometheus,) = re.findall(r"prometheus/prometheus v0\.(\d)(\d+)\.(\d+)", modules)
    (alertmanager,) = re.findall(r"prometheus/alertmanager v(\S+)", modules)
    (exporter,) = re.findall(r"exporter/prometheusexporter v(\S+)", collector)
    logs = (MONITORING / "rig" / "victorialogs" / "go.mod").read_text(encoding="utf-8")
    (victorialogs,) = re.findall(r"VictoriaLogs v(\S+)", logs)
    assert images >= {
        "prom/prometheus:v{}.{}.{}".format(*prometheus),
        f"prom/alertmanager:v{alertmanager}",
        f"otel/opentelemetry-collector-contrib:{exporter}",
        f"victoriametrics/victoria-logs:v{victorialogs}",
        f"jaegertracing/jaeger:{JAEGER}",
    }


VENDOR = {"VENDOR_OTLP_ENDPOINT": "http://127.0.0.1:1", "VENDOR_OTLP_API_KEY": "key"}


def test_the_collector_validates_its_configuration() -> None:
    run("otelcol", "validate", "--config", SETUP / "otel-collector-config.yml")
    run(
        "otelcol", "validate", "--config", SETUP / "otel-collector-config.yml", "--config",
        SETUP / "otel-collector-vendor.yml", **VENDOR,
    )  # fmt: skip


@pytest.mark.slow
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    path = MONITORING / "rule_tests" / "alerts.yml"
    run("promtool", "test", "rules", path)
    tested: dict[str, set[bool]] = {alert.name: set() for alert in ALERTS}
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
        for case in group.get("alert_rule_test", ()):
            tested[case["alertname"]].add(bool(case["exp_alerts"]))
    # Most cases that must not fire are further series in the same test: the expected alerts are an exact list.
    assert all(True in outcomes for outcomes in tested.values()), tested


def test_every_alert_has_an_entry_in_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (MONITORING / "RUNBOOK.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]


@pytest.mark.slow
def test_utilization_is_the_share_of_the_time_of_open_sessions(tmp_path: Path) -> None:
    """Sessions are open for two of 24 hours, one hour of them twice at once. Prompts take half of that time."""
    (panel,) = [query for query in panel_queries() if str(query) == "claude-executive: Agent utilization"]
    labels = 'agent="a", project="p", model="m", instance="i"'
    active = f"claude_sessions_active{{{labels}}}"
    worked = f"claude_active_time_seconds_total{{{labels}}}"
    series = [
        # A daemon sends for a quarter of an hour after the last session, and its series disappear.
        {"series": active, "values": "_x479 1x59 2x59 0x15 stale"},
        {"series": worked, "values": "0x479 30+30x59 1860+60x59 5400x15 stale"},
    ]
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": f"round({panel.filled(86_400)}, 0.001)",
                "eval_time": "24h",
                "exp_samples": [{"labels": '{agent="a"}', "value": 0.5}],
            }
        ],
    }
    path = tmp_path / "utilization.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    run("promtool", "test", "rules", path)


@pytest.mark.slow
def test_totals_are_exact_over_a_week_with_silent_days(tmp_path: Path) -> None:
    """The shipped rules with the shipped ranges: some hours of work, and six silent days between them."""
    sessions = Series(catalog.SESSIONS)
    labels = 'agent="a", project="p", source="startup", job="j"'
    cases = [
        # (at, range, sessions in it). The laptop works in hour 0-1 (10) and from hour 150 (5 more), the tower from hour 26 (20).
        ("90m", "2h", 10),
        ("20h", "1h", 0),
        ("27h", "24h", 20),
        ("40h", "41h", 30),
        ("149h", "30h", 0),
        ("151h", "2h", 5),  # the range begins six days after the laptop's last sample: only the carried total is left
        ("151h", "130h", 25),
        ("152h", "153h", 35),
    ]
    (tmp_path / "days.yml").write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(SETUP / "rules" / "claude-totals.yml")],
                "evaluation_interval": "2m",
                "tests": [
                    {
                        "interval": "30m",
                        "input_series": [
                            {
                                "series": f'claude_sessions_total{{{labels}, instance="laptop"}}',
                                "values": "5 8 10 stale _x296 15x5",
                            },
                            {
                                "series": f'claude_sessions_total{{{labels}, instance="tower"}}',
                                "values": "_x52 20x2 stale",
                            },
                        ],
                        "promql_expr_test": [
                            {
                                "expr": sessions.grown(span),
                                "eval_time": at,
                                "exp_samples": [{"labels": "{}", "value": value}],
                            }
                            for at, span, value in cases
                        ],
                    }
                ],
            }
        ),
        encoding="utf-8",
    )
    run("promtool", "test", "rules", tmp_path / "days.yml")
