"""From the store to the endpoints: each is really asked, with a request that holds no data."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from opentelemetry.sdk.metrics.export import MetricsData

from claude_hooks_otel.config import Config, ConfigError, otel_environment
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings
from claude_hooks_otel.export.exporters import NamedExporter, build_metric_exporters
from claude_hooks_otel.facts.store import connect
from claude_hooks_otel.installation.home_files import otel_variables


def variables(surroundings: Surroundings) -> Iterator[Finding]:
    """Variables of this shell that the daemon never sees, because Claude Code removes them from hooks."""
    config = surroundings.config
    known = config.otel if isinstance(config, Config) else {}
    present = otel_variables(surroundings.environ)
    if unseen := sorted(name for name, value in present.items() if known.get(name) != value):
        yield Finding(
            "variables", Level.WARN, f"{', '.join(unseen)}: set here, but not (or otherwise) in the configuration",
            "Run `claude-hooks-otel install` here to take them over: hooks never see them.",
        )  # fmt: skip


def endpoints(surroundings: Surroundings) -> Iterator[Finding]:
    """Each exporter, what its last error was, and whether its endpoint accepts a request now."""
    config = surroundings.config
    if isinstance(config, ConfigError):
        return
    try:
        exporters = build_metric_exporters(otel_environment(config, surroundings.hook_environ), io.StringIO())
    except ConfigError as error:
        yield Finding(
            "export",
            Level.FAIL,
            str(error),
            "Correct it under [otel] in the configuration, or by `claude-hooks-otel install`.",
        )
        return
    if not exporters:
        yield Finding(
            "export",
            Level.INFO,
            "no endpoint: the embedded store serves",
            "To export: `claude-hooks-otel install --endpoint URL`.",
        )
    for exporter in exporters:
        yield _ask(exporter, surroundings)


def _ask(exporter: NamedExporter, surroundings: Surroundings) -> Finding:
    link = f"export {exporter.name}"
    try:
        outcome = exporter.export(MetricsData(resource_metrics=[]))
    finally:
        exporter.shutdown()
    if not outcome.ok:
        remedy = "Is the receiver running, and are endpoint, protocol and headers right? Nothing is lost meanwhile."
        return Finding(link, Level.FAIL, f"{exporter.describe()}: {outcome.error}", remedy)
    accepted = f"{exporter.describe()}: accepted an empty request in {outcome.duration_s * 1000:.0f} ms"
    if last := _last_error(exporter.name, surroundings):
        return Finding(
            link,
            Level.WARN,
            f"{accepted}; the daemon's last export failed: {last}",
            "Run `claude-hooks-otel flush` to try again.",
        )
    level = Level.WARN if exporter.warnings else Level.OK
    return Finding(
        link, level, accepted, "Correct what is named above in the configuration." if exporter.warnings else ""
    )


def _last_error(name: str, surroundings: Surroundings) -> str:
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            found = connection.execute("SELECT value FROM meta WHERE name = ?", (f"export.{name}.error",)).fetchone()
    except sqlite3.Error:
        return ""  # the store is another link
    return str(found[0]) if found and found[0] else ""


LOOKS = (variables, endpoints)
