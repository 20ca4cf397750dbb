"""Facts that programs record through the Python SDK."""

from __future__ import annotations

from claude_hooks_otel.facts.model.fact import Fact, fact, key, least, once


@fact
class Measurement(Fact):
    """One value of a metric: a program recorded it, or it follows from another record of the program.

    Attributes:
        name: the metric's OTLP name.
        value: in stored units of the metric; a gauge's in millionths (``metrics.declared.SCALE``).
        label_text: the labels besides the identity, as canonical JSON.
    """

    TIMES = ("at_ns",)

    measurement_id: str = key()
    name: str = once()
    kind: str | None = once()
    unit: str | None = once()
    value: int | None = once()
    label_text: str | None = once()
    at_ns: int | None = once()


@fact
class ProgramSpan(Fact):
    """A finished task or span of a program. ``parent_id`` is the span around it, ``root_id`` the outermost one."""

    TIMES = ("ended_ns", "started_ns")

    span_id: str = key()
    parent_id: str | None = once()
    root_id: str | None = once()
    name: str | None = once()
    started_ns: int | None = least()
    ended_ns: int | None = once()
    outcome: str | None = once()
