"""The size of a model's context window."""

from __future__ import annotations

from functools import lru_cache

ONE_MILLION, STANDARD = 1_000_000, 200_000  # tokens
# Models that the client runs in the standard window, and in a larger one only with the suffix ``[1m]``. The price list has the larger
# one. Source: the status line of client 2.1.330.
_ON_REQUEST = ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4-0", "claude-opus-4-6")


@lru_cache(maxsize=256)
def context_window(model: str) -> int | None:
    """Return the size of the context window in which the client runs a model, in tokens; None for an unknown model."""
    if "[1m]" in model.lower():
        return ONE_MILLION
    if any(name in model for name in _ON_REQUEST):
        return STANDARD
    from genai_prices.data import providers  # noqa: PLC0415 — it takes 0.2 s, and only the daemon needs it

    anthropic = next(provider for provider in providers if provider.id == "anthropic")
    found = anthropic.find_model(model)
    return found.context_window if found else None
