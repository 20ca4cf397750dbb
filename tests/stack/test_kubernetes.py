"""The manifests of gateways and balancers, built by the real kustomize, read as the API server reads them, with Collectors that accept their files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.generate import SETUP
from monitoring.rig.build import binary

pytestmark = pytest.mark.stack
TEAM = SETUP / "team"


@pytest.fixture(scope="module")
def objects(servers: None) -> dict[tuple[str, str], dict[str, Any]]:
    """Return kind and name → object. The program refuses a field that Kubernetes does not have."""
    done = subprocess.run([binary("kustomize"), str(TEAM)], capture_output=True, text=True, check=True)
    found = list(yaml.safe_load_all(done.stdout))
    assert {each["metadata"].get("namespace", "claude-telemetry") for each in found} == {"claude-telemetry"}
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def pod(objects: dict[tuple[str, str], dict[str, Any]], name: str) -> dict[str, Any]:
    kind = "StatefulSet" if name == "gateway" else "Deployment"
    spec: dict[str, Any] = objects[kind, name]["spec"]["template"]["spec"]
    return spec


def named(objects: dict[tuple[str, str], dict[str, Any]], kind: str, beginning: str) -> dict[str, Any]:
    """Return an object whose name kustomize has ended with a hash of its content."""
    [found] = [each for (its_kind, name), each in objects.items() if its_kind == kind and name.startswith(beginning)]
    return found


def test_the_program_refuses_an_unknown_field(tmp_path: Path, servers: None) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [service.yaml]\n")
    (tmp_path / "service.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selektor: {a: b}}\n"
    )
    done = subprocess.run([binary("kustomize"), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "selektor" in done.stderr


@pytest.mark.parametrize("name", ["gateway", "balancer"])
def test_the_collector_in_the_pod_accepts_its_file(
    objects: dict[tuple[str, str], dict[str, Any]], name: str, tmp_path: Path
) -> None:
    """Every variable of the file has a value in the manifest, or comes from an optional secret."""
    [container] = pod(objects, name)["containers"]
    text = named(objects, "ConfigMap", f"{name}-config")["data"][f"{name}.yml"]
    assert text == (TEAM / f"{name}.yml").read_text(encoding="utf-8")
    assert container["args"] == [f"--config=/etc/otelcol/config/{name}.yml"]
    given = {each["name"]: each["value"] for each in container["env"]}
    if name == "gateway":
        given |= named(objects, "ConfigMap", "stores")["data"]
    wanted = set(re.findall(r"\$\{env:(\w+)\}", text))
    assert {each for each in wanted if not each.endswith("_AUTHORIZATION")} <= given.keys()
    (tmp_path / "tokens").write_text("token\n")
    files = {each: str(tmp_path / "tokens") for each in given if each.endswith("_TOKEN_FILE")}
    config = tmp_path / "config.yml"
    config.write_text(text)
    subprocess.run(
        [binary("otelcol"), "validate", "--config", str(config)],
        env={"PATH": os.environ["PATH"], **given, **files}, check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gateway", "balancer"])
def test_the_pods_are_confined(objects: dict[tuple[str, str], dict[str, Any]], name: str) -> None:
    spec = pod(objects, name)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in spec["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        mounts = [each["mountPath"] for each in container["volumeMounts"]]
        # A volume cannot be mounted into another one that is read-only.
        assert not [(one, other) for one in mounts for other in mounts if other.startswith(f"{one}/")]
        ports = {each["name"] for each in container["ports"]}
        assert {container["readinessProbe"]["httpGet"]["port"], container["livenessProbe"]["httpGet"]["port"]} <= ports
        for rule in objects["NetworkPolicy", name]["spec"]["ingress"]:
            assert {each["port"] for each in rule["ports"]} <= ports


def test_services_policies_and_scaling_select_the_pods(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    labels = {
        name: objects[kind, name]["spec"]["template"]["metadata"]["labels"]
        for kind, name in (("StatefulSet", "gateway"), ("Deployment", "balancer"))
    }
    assert objects["Service", "gateways"]["spec"]["selector"].items() <= labels["gateway"].items()
    assert objects["Service", "gateways"]["spec"]["clusterIP"] == "None"
    assert objects["Service", "otlp"]["spec"]["selector"].items() <= labels["balancer"].items()
    for name, own in labels.items():
        for kind in ("PodDisruptionBudget", "NetworkPolicy"):
            spec = objects[kind, name]["spec"]
            assert (spec.get("selector") or spec["podSelector"])["matchLabels"].items() <= own.items()
        assert objects["HorizontalPodAutoscaler", name]["spec"]["scaleTargetRef"]["name"] == name


def test_the_image_is_that_of_the_compose_stack(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    compose = yaml.safe_load((SETUP / "docker-compose.yml").read_text(encoding="utf-8"))
    image = compose["services"]["otel-collector"]["image"]
    assert {
        container["image"] for name in ("gateway", "balancer") for container in pod(objects, name)["containers"]
    } == {image}
