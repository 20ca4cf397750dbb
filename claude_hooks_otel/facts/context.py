"""How large a model's context window is."""

from __future__ import annotations

from functools import lru_cache

ONE_MILLION, STANDARD = 1_000_000, 200_000  # tokens
# Models that have a larger window on request (the ``[1m]`` suffix) and that the client runs in the standard one otherwise
# (its status line on 2.1.330 says so); a price list names the larger one.
_ON_REQUEST = ("claude-sonnet-4-6", "claude-sonnet-4-5", "claude-sonnet-4-0", "claude-opus-4-6")


@lru_cache(maxsize=256)
def context_window(model: str) -> int | None:
    """Tokens that fit into the model's context window, as the client runs it; None for an unknown model."""
    if "[1m]" in model.lower():
        return ONE_MILLION
    if any(name in model for name in _ON_REQUEST):
        return STANDARD
    from genai_prices.data import providers  # noqa: PLC0415 — 0.2 s that only the daemon should pay

    anthropic = next(provider for provider in providers if provider.id == "anthropic")
    found = anthropic.find_model(model)
    return found.context_window if found else None
