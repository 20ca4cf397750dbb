"""All checks of ``doctor``, in the order in which an event travels."""

from __future__ import annotations

from claude_hooks_otel.diagnosis import capture, custom_exporters, state, status_line
from claude_hooks_otel.diagnosis.finding import Finding, Surroundings, run_checks


def diagnose(surroundings: Surroundings) -> list[Finding]:
    """Check every step, in the order in which an event travels.

    Raises:
        NoHomeError: no environment variable names a home.
    """
    # These import OpenTelemetry, which other commands do not need.
    from claude_hooks_otel.diagnosis import export, prometheus  # noqa: PLC0415

    _ = surroundings.home
    checks = (
        *capture.CHECKS, *status_line.CHECKS, *state.CHECKS, *export.CHECKS, *custom_exporters.CHECKS, *prometheus.CHECKS
    )  # fmt: skip
    return list(run_checks(checks, surroundings))
