"""Recorded sessions, and the totals of a run without faults. Tests of faults compare their totals with these."""

from __future__ import annotations

from pathlib import Path

from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import Installation, RecordedSessions, Totals, final_totals

FEW = ("basic-edit", "subagents", "tasks")

# Metrics that transcripts alone can fill. Files read and tasks are not among them, because the transcript of a sub-agent does not
# have the results of its tools.
IN_TRANSCRIPTS = frozenset(
    f"claude.{name}"
    for name in (
        "sessions", "prompts", "tokens.input", "tokens.output", "api.cost.usd", "api.requests", "tool.calls", "lines.added",
        "lines.deleted", "files.modified",
    )
)  # fmt: skip


class Undisturbed:
    """A run without faults.

    Args:
        folder: for transcripts, which other runs read too, and for the run's home.
        names: the scenarios.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.projects = folder / ".claude" / "projects"
        self.sessions = RecordedSessions(names, self.projects)
        with OtlpReceiver() as receiver:
            endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
            installation = Installation(folder, endpoint)
            try:
                for hook in self.sessions.hooks:
                    installation.run_hook(hook)
                installation.start()
                self.totals: Totals = final_totals(receiver, installation)
            finally:
                installation.close()


def in_transcripts(found: Totals) -> Totals:
    """Return the totals that transcripts alone can give."""
    return {key: value for key, value in found.items() if key[0] in IN_TRANSCRIPTS}
