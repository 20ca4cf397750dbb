"""Every exporter that the configuration asks for, built; and the state of those that cannot be built."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_hooks_otel.delivery.exporter_state import CONFIGURATION, MEASUREMENTS, ExporterState
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.custom.registry import build as build_custom
from claude_hooks_otel.export.exporters import NamedExporter, build_metric_exporters
from claude_hooks_otel.export.record_exporters import RecordExporter, build_record_exporters
from claude_hooks_otel.export.signals import Signal
from claude_hooks_otel.settings.config import Config, ConfigError

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Exporters:
    """What one daemon exports to.

    Attributes:
        metrics: exporters of metrics.
        items: exporters of spans and log events.
        custom: custom exporters by name.
        states: all of them, those included that cannot be built.
    """

    metrics: list[NamedExporter] = field(default_factory=list)
    items: list[RecordExporter] = field(default_factory=list)
    custom: dict[str, CustomExporter] = field(default_factory=dict)
    states: list[ExporterState] = field(default_factory=list)


def build_exporters(config: Config, variables: Mapping[str, str]) -> Exporters:
    """Build every exporter. A mistake in one of them costs the others nothing.

    Args:
        config: what the owner has set.
        variables: the ``OTEL_*`` variables in effect.
    """
    found = Exporters()
    for signal in Signal:
        try:
            if signal is Signal.METRICS:
                metrics = build_metric_exporters(variables)
                found.metrics += metrics
                found.states += [ExporterState(signal, exporter.name, exporter.describe()) for exporter in metrics]
            else:
                items = build_record_exporters(variables, signal)
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
