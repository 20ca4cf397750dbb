"""The price of one Claude API request, as Claude Code prices it: list prices of genai-prices, with the client's own rules.

The rules are observations of Claude Code 2.1.330 (``tests/data/pricing`` has the requests, with the client's cost of each):

- The requested model sets the price, not the one that answered. The cloud does not matter: a Bedrock name with a region costs the
  same as the plain name.
- ``speed`` "fast" has its own price on the models that are sold fast, and changes nothing on the others.
- ``inference_geo`` "us" multiplies the price of every token, but not that of a web search. The service tier changes nothing.
- A long prompt costs no premium, except on Haiku 5.5: a prompt of more than 100,000 tokens raises the price of the whole request.

Two differences from the client are intended. The client prices an unknown name as its default model (Opus 5.5); here it has no
price. The client no longer knows some models of the list (Claude 3 Opus, Sonnet and Haiku); here they have their list price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from claude_hooks_otel.units import DAY, DOLLAR, SECOND

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_TOKENS_PER_PRICE = 1_000_000  # prices are per million tokens
_PICODOLLARS_PER_SEARCH = DOLLAR // 100  # 0.01 USD a web search, whatever the model
_US_INFERENCE = Decimal("1.1")  # inference only in the United States, relative to anywhere

# Wide enough to round no product: a 64-bit count has 19 digits, a price has few.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class _Model(NamedTuple):
    """A Claude model: "claude-3-5-haiku-20241022" is ("haiku", 3, 5)."""

    family: str
    major: int
    minor: int


# Models with two names, of which the list has only the second. The client gives both the same price.
_SOLD_AS = {_Model("mythos", 5, 0): _Model("fable", 5, 0), _Model("mythos", 5, 1): _Model("fable", 5, 1)}
# Fast prices, relative to the standard ones, that the client has and the list lacks.
_FAST_PREMIUM = {_Model("opus", 4, 6): 6, _Model("opus", 4, 7): 6}
# Models for which the client charges the list's higher prices of a long prompt. For the others it uses those of a short one.
_PRICED_BY_LENGTH = frozenset({_Model("haiku", 5, 5)})

# Family and version in either order. A date, a revision or a cloud's suffix may follow.
_CLAUDE_NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-(?P<version>\d{1,2}(?:-\d{1,2})?)|(?P<old_version>\d{1,2}(?:-\d{1,2})?)-(?P<old_family>[a-z]+))"
    r"(?![a-z\d])"
)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The usage that one request is billed for.

    Attributes:
        input: prompt tokens neither read from nor written to the cache.
        output: answer tokens, thinking included.
        cache_read: prompt tokens read from the cache.
        cache_write_5m: prompt tokens written to the cache for five minutes, or without a stated lifetime, as in the client.
        cache_write_1h: prompt tokens written to the cache for an hour.
        web_searches: searches that the API itself ran (``server_tool_use.web_search_requests``).
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """The prices of a model, USD per million tokens, for each kind of token in `TokenUsage`.

    Raises:
        ValueError: a price is negative or not a finite number.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal

    def __post_init__(self) -> None:
        for field in fields(self):
            price = getattr(self, field.name)
            if not (price.is_finite() and price >= 0):
                raise ValueError(f"{field.name}: a price is a finite number of dollars, zero or more, not {price}")


@dataclass(frozen=True, slots=True)
class PriceOverride(TokenPrices):
    """The prices that the owner configured for a model, USD per million tokens. They precede the list's."""


def request_cost(
    usage: TokenUsage,
    requested_model: str,
    *,
    timestamp_ns: int,
    speed: str | None = None,
    inference_geo: str | None = None,
    overrides: Mapping[str, PriceOverride] | None = None,
) -> int | None:
    """Return the cost of one request.

    The client prices each of ``usage.iterations`` (the rounds of a request that used the API's own tools) and adds them up. Costs
    are linear, so pricing the sum differs only on Haiku 5.5, where the length of each iteration's prompt matters.

    Args:
        usage: what the request is billed for.
        requested_model: the requested model (``requestedModel`` in a transcript), in any cloud's spelling, with or without
            ``[1m]``.
        timestamp_ns: the request's time, Unix nanoseconds. A list price can begin on a day (UTC).
        speed: ``usage.speed`` of the answer. Only "fast" matters.
        inference_geo: ``usage.inference_geo`` of the answer. Only "us" matters.
        overrides: prices that precede the list's, by model name: the requested name, or the plain name in it
            ("claude-sonnet-4-5" in "us.anthropic.claude-sonnet-4-5-20250929-v1:0"). They are final, as an organisation's own
            prices are in the client: speed, geography and the prompt's length do not change them.

    Returns:
        Picodollars, exact. A fraction is rounded half to even, once, at the end. None if the model has no known price, such as
        ``<synthetic>``, the client's name for messages that it wrote itself.
    """
    own = _override(requested_model, overrides) if overrides else None
    if own is not None:
        return _cost(usage, own, Decimal(1))
    prompt = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    for above, prices in _listed(requested_model, timestamp_ns // DAY, fast=speed == "fast"):
        if prompt > above:
            return _cost(usage, prices, _US_INFERENCE if inference_geo == "us" else Decimal(1))
    return None


def price_table_version() -> str:
    """Return the price list and its version, such as "genai-prices 0.2.3"."""
    from importlib.metadata import version  # noqa: PLC0415 - three quarters of this module's import time otherwise

    return f"genai-prices {version('genai-prices')}"


def _cost(usage: TokenUsage, prices: TokenPrices, factor: Decimal) -> int:
    """Return picodollars. The factor multiplies only the price of the tokens."""
    with localcontext(_EXACT):
        tokens = (
            usage.input * prices.input
            + usage.output * prices.output
            + usage.cache_read * prices.cache_read
            + usage.cache_write_5m * prices.cache_write_5m
            + usage.cache_write_1h * prices.cache_write_1h
        )
        picodollars = tokens * factor * (DOLLAR // _TOKENS_PER_PRICE)
        return int(picodollars.to_integral_value()) + usage.web_searches * _PICODOLLARS_PER_SEARCH


def _override(requested_model: str, overrides: Mapping[str, PriceOverride]) -> PriceOverride | None:
    if requested_model in overrides:
        return overrides[requested_model]
    name = _claude_name(requested_model)
    return overrides.get(name.group()) if name else None


# Few models are in use at a time, but nothing bounds the names that a gateway makes up.
@lru_cache(maxsize=256)
def _listed(requested_model: str, unix_day: int, *, fast: bool) -> tuple[tuple[int, TokenPrices], ...]:
    """Return the list's prices of a model on a day as (tokens, prices): the prices of prompts with more than so many tokens.

    The longest prompts come first. Empty if the list lacks the model or one of its five prices.
    """
    name = _claude_name(requested_model)
    if name is None or (info := _claude_models().get(model := _model_of(name))) is None:
        return ()
    day = datetime.fromtimestamp(unix_day * (DAY // SECOND), UTC)
    standard = info.get_prices(day)
    price = info.get_prices(day, {"speed": "fast"}) if fast else standard
    premium = _FAST_PREMIUM.get(model, 1) if fast and price == standard else 1
    starts = _long_prompts(price) if model in _PRICED_BY_LENGTH else []
    with localcontext(_EXACT):
        steps = [(start, _token_prices(price, start + 1, premium)) for start in [*starts, -1]]
    return tuple((start, prices) for start, prices in steps if prices is not None)


def _token_prices(price: ModelPrice, prompt_tokens: int, premium: int) -> TokenPrices | None:
    """Return the list's prices for a prompt of a length; None if it lacks one of the five."""
    write_5m = price.cache_write_mtok if price.cache_write_5m_mtok is None else price.cache_write_5m_mtok
    listed = (price.input_mtok, price.output_mtok, price.cache_read_mtok, write_5m, price.cache_write_1h_mtok)
    prices = [_at_length(each, prompt_tokens) * premium for each in listed if each is not None]
    return TokenPrices(*prices) if len(prices) == len(listed) else None


def _at_length(price: Decimal | TieredPrices, prompt_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if prompt_tokens > tier.start), price.base)


def _long_prompts(price: ModelPrice) -> list[int]:
    """Return the lengths, in tokens, beyond which a prompt has another price, the longest first."""
    listed = price.input_mtok
    return [] if listed is None or isinstance(listed, Decimal) else [tier.start for tier in reversed(listed.tiers)]


def _claude_name(name: str) -> re.Match[str] | None:
    """Find the plain name of a Claude model in any spelling of it. Dots between the numbers become dashes."""
    return _CLAUDE_NAME.search(name.lower().replace(".", "-"))


def _model_of(name: re.Match[str]) -> _Model:
    major, _, minor = (name["version"] or name["old_version"]).partition("-")
    return _Model(name["family"] or name["old_family"], int(major), int(minor or 0))


@cache
def _claude_models() -> dict[_Model, ModelInfo]:
    """Return the list's Claude models.

    The first request that is priced imports the list, because that takes a quarter of a second and some 20 MB (7 if pydantic is
    loaded already). The import opens no connection: the package uses the network only when told to update.
    """
    from genai_prices.data import providers  # noqa: PLC0415

    anthropic = next(provider for provider in providers if provider.id == "anthropic")
    models = {}
    for info in anthropic.models:
        name = _claude_name(info.id)
        # Only the plain name: a variant with its own entry in the list must not replace the model itself.
        if name is not None and name.group() == info.id.removesuffix("-latest"):
            models[_model_of(name)] = info
    return {**{model: models[same] for model, same in _SOLD_AS.items() if same in models}, **models}
