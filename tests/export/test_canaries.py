"""The package uses parts of OpenTelemetry that are not stable API. A failure says what changed.

The pins in pyproject.toml allow only versions for which these tests pass.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import version

import pytest

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
}


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


@pytest.mark.parametrize("package", ["opentelemetry-sdk", "opentelemetry-exporter-otlp"])
def test_the_pins_allow_only_the_tested_versions(package: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    major, minor, *_ = map(int, version(package).split("."))
    assert f"{package}>={major}.{minor},<{major}.{minor + 1}" in dependencies
