"""A receiver may accept a request and refuse some of what is in it; the stock exporters throw that away.

Source: OTLP specification, "Partial Success".
"""

from __future__ import annotations

from typing import Any

from claude_hooks_otel.export.otlp import Answer


def note_partial_success(response: Any, answer: Answer) -> None:
    """Notes what a response of any of the three services says: each has its own name for the number of what was refused."""
    answer.message = response.partial_success.error_message
    for field, value in response.partial_success.ListFields():
        if field.name.startswith("rejected_"):
            answer.rejected = value
