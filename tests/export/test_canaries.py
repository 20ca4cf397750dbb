"""The package uses parts of OpenTelemetry that are not stable API. A failure says what changed.

The pins in pyproject.toml allow only versions for which these tests pass.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from claude_hooks_otel.export.spans import readable_spans
from tests.support.items import SPAN
from tests.support.places import ROOT

# (module, name) → the arguments that the package passes. OpenTelemetry's logs are private until they are stable.
PRIVATE: dict[tuple[str, str], tuple[str, ...]] = {
    ("opentelemetry._logs", "LogRecord"): (
        *("timestamp", "observed_timestamp", "context", "severity_number", "severity_text", "body", "attributes"),
        "event_name",
    ),
    ("opentelemetry._logs", "SeverityNumber"): (),
    ("opentelemetry.sdk._logs", "ReadableLogRecord"): ("log_record", "resource", "instrumentation_scope"),
    ("opentelemetry.sdk._logs.export", "ConsoleLogRecordExporter"): ("out", "formatter"),
    ("opentelemetry.exporter.otlp.proto.common._log_encoder", "encode_logs"): ("batch",),
    ("opentelemetry.exporter.otlp.proto.http._log_exporter", "OTLPLogExporter"): (
        *("endpoint", "timeout", "compression", "session", "max_request_size", "meter_provider"),
    ),
}
HTTP_EXPORTERS = pytest.mark.parametrize(
    ("kind", "batch"), [(OTLPMetricExporter, MetricsData([])), (OTLPSpanExporter, []), (OTLPLogExporter, [])]
)


def private_imports() -> Iterator[tuple[str, str]]:
    """Return the names with an underscore that the package imports from OpenTelemetry."""
    for path in (ROOT / "claude_hooks_otel").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry"):
                for alias in node.names:
                    parts = f"{node.module}.{alias.name}".split(".")
                    if any(part.startswith("_") and not part.startswith("__") for part in parts):
                        yield node.module or "", alias.name


def test_the_canaries_cover_every_private_name_that_the_package_imports() -> None:
    assert set(private_imports()) == set(PRIVATE)


@pytest.mark.parametrize(("module", "name", "arguments"), [(*key, arguments) for key, arguments in PRIVATE.items()])
def test_private_names_take_the_arguments_that_the_package_passes(
    module: str, name: str, arguments: tuple[str, ...]
) -> None:
    found = getattr(importlib.import_module(module), name, None)
    assert found is not None, f"{module} no longer has {name}: see where claude_hooks_otel/export imports it"
    missing = sorted(set(arguments) - set(inspect.signature(found).parameters)) if arguments else []
    assert not missing, (
        f"{module}.{name} no longer takes {', '.join(missing)}: see where claude_hooks_otel/export uses it"
    )


class _RecordingSession(requests.Session):
    """A session that records each call of ``request`` and answers it."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.status = status
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.is_closed = False

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.calls.append((args, kwargs))
        response = requests.Response()
        response.status_code = self.status
        response._content = b""
        return response

    def send(self, *_: Any, **__: Any) -> requests.Response:
        pytest.fail(
            "the OTLP exporters over HTTP no longer send by Session.request, which export/otlp_http.py overrides"
        )

    def close(self) -> None:
        self.is_closed = True


@HTTP_EXPORTERS
def test_http_exporters_send_and_close_through_the_given_session(kind: Any, batch: Any) -> None:
    session = _RecordingSession()
    exporter = kind(endpoint="http://127.0.0.1:9/x", session=session, timeout=5)
    assert exporter.export(batch).name == "SUCCESS", "export() no longer returns an enumeration with SUCCESS"
    [(arguments, options)] = session.calls
    given = {**dict(zip(("method", "url"), arguments, strict=False)), **options}
    assert (given["method"], given["url"]) == ("POST", "http://127.0.0.1:9/x")
    assert given["allow_redirects"] is False, (
        "OTLP exporters over HTTP follow redirects, so a login page would count as accepted"
    )
    exporter.shutdown()
    assert session.is_closed, (
        "shutdown() no longer closes the session, so export/otlp_http.py cannot end a running request"
    )


@HTTP_EXPORTERS
def test_http_exporters_do_not_report_a_refusal_as_a_success(kind: Any, batch: Any) -> None:
    exporter = kind(endpoint="http://127.0.0.1:9/x", session=_RecordingSession(400), timeout=5)
    assert exporter.export(batch).name != "SUCCESS"
    exporter.shutdown()


def test_http_exporters_log_that_a_batch_cannot_be_encoded(caplog: pytest.LogCaptureFixture) -> None:
    exporter = OTLPSpanExporter(endpoint="http://127.0.0.1:9/x", session=_RecordingSession(), timeout=5)
    bad = readable_spans([replace(SPAN, start_ns=-1)], Resource({}), InstrumentationScope("x"))
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        exporter.export(bad)
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith("Failed to encode"), (
        "export/exporters.py knows a batch that cannot be encoded by this text"
    )
    exporter.shutdown()


@pytest.mark.parametrize("package", ["opentelemetry-sdk", "opentelemetry-exporter-otlp"])
def test_the_pins_allow_only_the_tested_versions(package: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    major, minor, *_ = map(int, version(package).split("."))
    assert f"{package}>={major}.{minor},<{major}.{minor + 1}" in dependencies
