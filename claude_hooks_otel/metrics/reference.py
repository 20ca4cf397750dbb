"""The reference page of the metrics, made from the catalog: ``python -m claude_hooks_otel.metrics.reference > docs/metrics.md``."""

from __future__ import annotations

import sys

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import CHOSEN_LABELS, COMMON_LABELS, OWNER_LABELS

_HEAD = """# Metrics

Every series carries the labels {common}. It also carries {owner} if the owner of a session sets them,
and {chosen} if [`[labels]`](configuration.md#labels) of the configuration puts them on metrics.
The product's own metrics (`claude_hooks_…`) carry none of these. The names are those that Prometheus shows after a Collector or its
own OTLP receiver, with the default suffixes. A metric has at most `[series] limit` series (2000 by default). Beyond that limit, one
series with the label `otel.metric.overflow="true"` counts for all others.
"""


def page() -> str:
    """Return the whole page in Markdown."""
    head = _HEAD.format(common=_listed(COMMON_LABELS), owner=_listed(OWNER_LABELS), chosen=_listed(CHOSEN_LABELS))
    return "\n".join([head, *(_section(metric) for metric in catalog.METRICS)])


def _section(metric: Metric) -> str:
    labels = _listed(metric.labels) if metric.labels else "none of its own"
    buckets = f"\nBuckets: {', '.join(f'{bound:.10g}' for bound in metric.buckets)}.\n" if metric.buckets else ""
    return (
        f"## `{metric.prometheus_name}`\n\n{metric.meaning}\n{buckets}\n"
        f"{metric.kind.capitalize()}; labels: {labels}. OTLP: `{metric.name}`, unit `{metric.unit}`.\n"
    )


def _listed(names: tuple[str, ...]) -> str:
    *others, last = (f"`{name}`" for name in names)
    return f"{', '.join(others)} and {last}" if others else last


if __name__ == "__main__":
    sys.stdout.write(page())
