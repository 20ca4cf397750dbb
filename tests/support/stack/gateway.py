"""The shipped gateway of a team on a real Collector, with a certificate and a token of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import trustme

from monitoring import tokens
from monitoring.rig import local
from monitoring.rig.build import binary
from monitoring.rig.local import LOOPBACK
from monitoring.rig.stack import PrometheusApi, Server
from monitoring.rig.stores import Stores

TOKEN = "a-token-of-the-tests"


def write_certificate(folder: Path) -> Path:
    """Write ``cert.pem`` and ``key.pem`` for localhost into a folder. Return the file of their authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", LOOPBACK)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "ca.pem"


def addresses(stack: PrometheusApi, stores: Stores) -> dict[str, str]:
    """Return the variables that say where a gateway writes to."""
    return {
        "REMOTE_WRITE_URL": f"{stack.url}/api/v1/write",
        "REMOTE_WRITE_AUTHORIZATION": "Bearer none-is-asked-for-here",
        "TRACES_URL": f"http://{LOOPBACK}:{stores.ports.jaeger_otlp}/v1/traces",
        "LOGS_URL": f"http://{LOOPBACK}:{stores.ports.victorialogs}/insert/opentelemetry/v1/logs",
    }


class Gateway:
    """The gateway and the Collector of a developer's machine, both with the shipped files."""

    def __init__(self, folder: Path, stack: PrometheusApi, stores: Stores) -> None:
        self.authority = write_certificate(folder)
        self.stores = stores
        self.tokens = folder / "token"
        tokens.write(self.tokens, [tokens.Token(TOKEN, "tests", datetime.max.replace(tzinfo=UTC))])
        self.ports = local.Ports.free()
        self.agent_ports = local.Ports.free()
        environ = {
            "HOME": str(folder),
            "TLS_CERTIFICATE": str(folder / "cert.pem"),
            "TLS_KEY": str(folder / "key.pem"),
            "GATEWAY_TOKEN_FILE": str(folder / "token"),
            **addresses(stack, stores),
            "GATEWAY_ENDPOINT": f"localhost:{self.ports.grpc}",
            "GATEWAY_CA": str(self.authority),
        }
        self.server = self._server("team/gateway.yml", self.ports, folder, environ)
        self.agent = self._server("team/agent.yml", self.agent_ports, folder, environ)

    def _server(self, name: str, ports: local.Ports, folder: Path, environ: Mapping[str, str]) -> Server:
        path = folder / f"{Path(name).stem}.yml"
        path.write_text(local.collector(local.shipped(name), ports, folder), encoding="utf-8")
        return Server(
            [str(binary("otelcol")), "--config", str(path)],
            f"http://{LOOPBACK}:{ports.health}", folder / f"{path.stem}.log", environ,
        )  # fmt: skip

    def variables(self, token: str = TOKEN, **more: str) -> dict[str, str]:
        """Return the variables that make a daemon send to the gateway itself."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{self.ports.http}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(self.authority),
            "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            **more,
        }


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
