"""What a Collector's queues hold."""

from __future__ import annotations

import re
import urllib.request

from monitoring.rig.local import LOOPBACK, Ports


def waiting_exports(ports: Ports) -> int:
    """Return how many exports a Collector has accepted that the next server has not, by the Collector's own metrics.

    An export counts until it is deleted from the disk. Without any, a kill makes no second copy of an export.
    """
    with urllib.request.urlopen(f"http://{LOOPBACK}:{ports.internal}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    return sum(
        int(float(size)) for size in re.findall(r"^otelcol_exporter_queue_size\{.*\} (\S+)$", page, re.MULTILINE)
    )
