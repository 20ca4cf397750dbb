"""From the store to the endpoints: each is really asked, with a request that holds no data."""

from __future__ import annotations

import io
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.delivery.exporter_state import read_state
from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings
from claude_hooks_otel.export.exporters import NamedExporter, build_metric_exporters
from claude_hooks_otel.export.record_exporters import RecordExporter, Status, build_record_exporters
from claude_hooks_otel.export.sampling import turn_sampler
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.installation.home_files import otel_variables
from claude_hooks_otel.settings.config import Config, ConfigError, otel_environment
from claude_hooks_otel.store.connection import connect


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
    """Each exporter of each signal, what its last error was, and whether its endpoint accepts a request now."""
    config = surroundings.config
    if isinstance(config, ConfigError):
        return
    environment = otel_environment(config, surroundings.hook_environ)
    found = [finding for signal in Signal for finding in _of_signal(environment, signal, surroundings)]
    yield from found or (
        Finding(
            "export",
            Level.INFO,
            "no endpoint: the embedded store serves",
            "To export: `claude-hooks-otel install --endpoint URL`.",
        ),
    )
    if warnings := turn_sampler(environment).warnings:
        yield Finding("sampling", Level.WARN, "; ".join(warnings), "Correct it under [otel] in the configuration.")


def _of_signal(environment: Mapping[str, str], signal: Signal, surroundings: Surroundings) -> Iterator[Finding]:
    try:
        exporters = list(_build(environment, signal))
    except ConfigError as error:
        remedy = "Correct it under [otel] in the configuration, or by `claude-hooks-otel install`."
        yield Finding(f"export {signal}", Level.FAIL, str(error), remedy)
        return
    for asked in exporters:
        yield _ask(asked, surroundings)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One exporter, whatever its signal.

    Attributes:
        signal: what it sends.
        exporter: itself.
        ask: sends a request without data; None where it was accepted, else why not.
    """

    signal: Signal
    exporter: NamedExporter | RecordExporter
    ask: Callable[[], _Refusal | None]

    @property
    def link(self) -> str:
        """Its name in the chain."""
        return f"export {self.exporter.name} {self.signal}"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a request was not accepted.

    Attributes:
        error: the reason.
        is_no_loss: the endpoint was set for all signals, and does not take this one.
    """

    error: str | None
    is_no_loss: bool = False


def _build(environment: Mapping[str, str], signal: Signal) -> Iterator[_Asked]:
    if signal is Signal.METRICS:
        for exporter in build_metric_exporters(environment, io.StringIO()):
            yield _Asked(signal, exporter, partial(_ask_metrics, exporter))
    else:
        for records in build_record_exporters(environment, signal, io.StringIO()):
            yield _Asked(signal, records, partial(_ask_records, records))


def _ask_metrics(exporter: NamedExporter) -> _Refusal | None:
    outcome = exporter.export(MetricsData(resource_metrics=[]))
    return None if outcome.ok else _Refusal(outcome.error)


def _ask_records(exporter: RecordExporter) -> _Refusal | None:
    outcome = exporter.export([], Resource({}))
    if outcome.status is Status.ACCEPTED:
        return None
    return _Refusal(outcome.error, outcome.status is Status.UNSERVED and not exporter.is_requested)


def _ask(asked: _Asked, surroundings: Surroundings) -> Finding:
    begin = time.monotonic()
    try:
        refusal = asked.ask()
        milliseconds = (time.monotonic() - begin) * 1000
    finally:
        asked.exporter.shutdown()
    described, warnings = asked.exporter.describe(), asked.exporter.warnings
    if refusal and refusal.is_no_loss:
        variable = f"OTEL_{asked.signal.upper()}_EXPORTER"
        remedy = f"If none are wanted there, set {variable}=none; if they are, {variable}=otlp, and see what it takes."
        return Finding(asked.link, Level.INFO, f"{described}: {refusal.error}", remedy)
    if refusal:
        lost = "Nothing is lost" if asked.signal is Signal.METRICS else "What waits is kept within [outbox]'s bounds"
        remedy = f"Is the receiver running, and are endpoint, protocol and headers right? {lost} meanwhile."
        return Finding(asked.link, Level.FAIL, f"{described}: {refusal.error}", remedy)
    accepted = f"{described}: accepted an empty request in {milliseconds:.0f} ms"
    if last := _last_error(asked, surroundings):
        return Finding(
            asked.link,
            Level.WARN,
            f"{accepted}; the daemon's last export failed: {last}",
            "Run `claude-hooks-otel flush` to try again.",
        )
    level = Level.WARN if warnings else Level.OK
    return Finding(asked.link, level, accepted, "Correct what is named above in the configuration." if warnings else "")


def _last_error(asked: _Asked, surroundings: Surroundings) -> str:
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            return read_state(connection, asked.signal, asked.exporter.name).error
    except sqlite3.Error:
        return ""  # the store is another link


LOOKS = (variables, endpoints)
