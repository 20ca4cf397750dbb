"""What programs write through the Python SDK."""

from __future__ import annotations

from dataclasses import dataclass

from claude_hooks_otel.facts.model.fact import Fact, key, least, once


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Fact):
    """One value that a program recorded through the SDK, or that a record of it stands for.

    ``name`` is the metric's OTLP name, ``value`` in its stored units (a gauge's in those of ``series.declared``), ``label_text`` the
    labels in addition to the identity as canonical JSON.
    """

    TIMES = ("at_ns",)

    measurement_id: str = key()
    name: str = once()
    kind: str | None = once()
    unit: str | None = once()
    value: int | None = once()
    label_text: str | None = once()
    at_ns: int | None = once()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSpan(Fact):
    """A task or span of a program, once it is over; ``parent_id`` is the one it was inside of, ``root_id`` the outermost."""

    TIMES = ("ended_ns", "started_ns")

    span_id: str = key()
    parent_id: str | None = once()
    root_id: str | None = once()
    name: str | None = once()
    started_ns: int | None = least()
    ended_ns: int | None = once()
    outcome: str | None = once()
