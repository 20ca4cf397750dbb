"""Every exporter that the configuration asks for, built; and the state of those that cannot be built."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from claude_hooks_otel.delivery.exporter_state import CONFIGURATION, MEASUREMENTS, ExporterState
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.custom.registry import build as build_custom
from claude_hooks_otel.export.exporters import (
    ItemExporter,
    MetricExporter,
    Stream,
    build_item_exporters,
    build_metric_exporters,
)
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings, Signal

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Exporters:
    """What one daemon exports to.

    Attributes:
        metrics: exporters of metrics.
        items: exporters of spans and log events.
        custom: custom exporters by name.
        states: the state of every exporter, also of those that cannot be built.
    """

    metrics: list[MetricExporter] = field(default_factory=list)
    items: list[ItemExporter] = field(default_factory=list)
    custom: dict[str, CustomExporter] = field(default_factory=dict)
    states: list[ExporterState] = field(default_factory=list)


def build_exporters(config: Config, otel: OtelSettings, console: Stream) -> Exporters:
    """Build every exporter. A mistake in one of them does not affect the others.

    Args:
        config: what the owner has set.
        otel: what the ``OTEL_*`` variables say.
        console: where the exporter ``console`` writes.
    """
    found = Exporters()
    for signal in Signal:
        try:
            if signal is Signal.METRICS:
                metrics = build_metric_exporters(otel, console)
                found.metrics += metrics
                found.states += [ExporterState(signal, exporter.name, exporter.describe()) for exporter in metrics]
            else:
                items = build_item_exporters(otel, signal, console)
                found.items += items
                found.states += [ExporterState(signal, exporter.name, exporter.describe()) for exporter in items]
        except ConfigError as error:
            _log.error("no %s are exported: %s", signal, error)
            found.states.append(ExporterState(signal, CONFIGURATION, error=str(error)))
    for name, options in config.exporters.items():
        problem = ""
        try:
            found.custom[name] = build_custom(name, options)
        except ConfigError as error:
            problem = str(error)
            _log.error("%s", problem)
        found.states.append(ExporterState(MEASUREMENTS, name, error=problem))
    return found
