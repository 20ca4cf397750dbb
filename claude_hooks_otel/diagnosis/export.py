"""From the store to the endpoints. Each check sends the real endpoint a request without data."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from claude_hooks_otel.delivery.exporter_state import read_state
from claude_hooks_otel.diagnosis.finding import Finding, Surroundings, fail, info, ok, warn
from claude_hooks_otel.export.exporters import Exporter, build_item_exporters, build_metric_exporters
from claude_hooks_otel.export.outcome import Status
from claude_hooks_otel.installation.client_variables import proxy_notes
from claude_hooks_otel.installation.home_files import network_variables, otel_variables
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings, OtlpSettings, Signal
from claude_hooks_otel.settings.backends import TEMPORALITY, Backend, backend_of, backends
from claude_hooks_otel.store.connection import connect


def variables(surroundings: Surroundings) -> Iterator[Finding]:
    """Find variables of this shell that the daemon never sees: it gets its settings from the file alone."""
    config = surroundings.config
    known = {**config.otel, **config.environment} if isinstance(config, Config) else {}
    present = otel_variables(surroundings.environ) | network_variables(surroundings.environ)
    if unseen := sorted(name for name, value in present.items() if known.get(name) != value):
        yield warn(
            "variables",
            f"{', '.join(unseen)}: set here, but missing or different in the configuration",
            "The daemon never sees them. Run `claude-hooks-otel install` here to copy them into the configuration.",
        )


def endpoints(surroundings: Surroundings) -> Iterator[Finding]:
    """Check whether each exporter's endpoint accepts a request now, and whether the last export failed."""
    config = surroundings.config
    if isinstance(config, ConfigError):
        return
    otel = OtelSettings.from_config(config, {}, is_own=surroundings.home.is_trusted(surroundings.environ))
    found = [finding for signal in Signal for finding in _of_signal(otel, signal, surroundings)]
    yield from found or (
        info(
            "export",
            "no endpoint: the data stays in the embedded store",
            "To export: `claude-hooks-otel install --endpoint URL`.",
        ),
    )
    if otel.warnings:
        yield warn("otel variables", "; ".join(otel.warnings), "Correct it under [otel] in the configuration.")


def _of_signal(otel: OtelSettings, signal: Signal, surroundings: Surroundings) -> Iterator[Finding]:
    exporters: Sequence[Exporter]
    try:
        if signal is Signal.METRICS:
            exporters = build_metric_exporters(otel, io.StringIO())
        else:
            exporters = build_item_exporters(otel, signal, io.StringIO())
    except ConfigError as error:
        remedy = "Correct it under [otel] in the configuration, or by `claude-hooks-otel install`."
        yield fail(f"export {signal}", str(error), remedy)
        return
    otlp = otel.signals[signal].otlp
    backend = _backend(otlp, surroundings) if otlp else None
    for exporter in exporters:
        own_backend = backend if exporter.name == "otlp" else None
        yield _ask(exporter, otel, own_backend, surroundings)
        if otlp and own_backend:
            yield from _mismatches(own_backend, otlp, signal)


def _backend(otlp: OtlpSettings, surroundings: Surroundings) -> Backend | None:
    """Return the backend that the configuration names, else the one that the address belongs to."""
    config = surroundings.config
    named = config.monitoring.backend if isinstance(config, Config) else None
    return backends().get(named) if named else backend_of(otlp.endpoint)


def _mismatches(backend: Backend, otlp: OtlpSettings, signal: Signal) -> Iterator[Finding]:
    """Find settings that the backend's documentation rules out. A request without data does not show them."""
    step = f"export otlp {signal}"
    if signal not in backend.signals:
        remedy = f'Set OTEL_{signal.upper()}_EXPORTER = "none" under [otel], or another endpoint for them.'
        yield warn(step, f"{backend.title} takes no {signal} by default", remedy)
    elif signal is Signal.METRICS and backend.needs_temporality and otlp.temporality != backend.temporality:
        observed = f"{backend.title} takes only {backend.temporality} temporality, and {otlp.temporality} is sent"
        yield fail(step, observed, f'Set {TEMPORALITY} = "{backend.temporality}" under [otel].')


def _ask(exporter: Exporter, otel: OtelSettings, backend: Backend | None, surroundings: Surroundings) -> Finding:
    try:
        outcome = exporter.probe()
    finally:
        exporter.shutdown()
    signal = exporter.signal
    step, described = f"export {exporter.name} {signal}", exporter.describe()
    if outcome.status is Status.UNSERVED and signal is not Signal.METRICS and not exporter.is_requested:
        variable = f"OTEL_{signal.upper()}_EXPORTER"
        remedy = f"Set {variable}=none to export no {signal}, or {variable}=otlp to export them and see each error."
        return info(step, f"{described}: {outcome.error}", remedy)
    if not outcome.ok:
        lost = "Nothing is lost" if signal is Signal.METRICS else "Waiting items are kept within the limits of [outbox]"
        remedy = _remedy(outcome.error or "", otel, backend)
        return fail(step, f"{described}: {outcome.error}", f"{remedy} {lost} meanwhile.")
    accepted = f"{described}: accepted an empty request in {outcome.duration_s * 1000:.0f} ms"
    if last := _last_error(exporter, surroundings):
        explained = backend.explain(last) if backend else ""
        again = "Run `claude-hooks-otel flush` to try again."
        return warn(step, f"{accepted}; the daemon's last export failed: {last}", f"{explained} {again}".lstrip())
    if exporter.warnings:
        return warn(step, accepted, "Correct what is named above in the configuration.")
    return ok(step, accepted)


def _remedy(error: str, otel: OtelSettings, backend: Backend | None) -> str:
    """Return what to do about an error of an export."""
    if otel.credentials is not None and error.startswith(otel.redact(otel.credentials.describe())):
        return "Correct it under [credentials] in the configuration."
    explained = backend.explain(error) if backend else ""
    return explained or "Is the receiver running, and are endpoint, protocol and headers right?"


def _last_error(exporter: Exporter, surroundings: Surroundings) -> str:
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            return read_state(connection, exporter.signal, exporter.name).error
    except sqlite3.Error:
        return ""  # the check of the store reports this


def proxies(surroundings: Surroundings) -> Iterator[Finding]:
    """Find a proxy that gets the requests to an endpoint on this machine."""
    config = surroundings.config
    for note in proxy_notes(config.otel, config.environment) if isinstance(config, Config) else ():
        observed, _, remedy = note.partition(". ")
        yield warn("proxy", observed, remedy)


CHECKS = (variables, proxies, endpoints)
