"""The price of one Claude API request, as Claude Code itself prices it: genai-prices' list prices under the client's own rules.

The rules were observed on Claude Code 2.1.330 (``tests/data/pricing`` holds the requests, with the cost the client gave each):

- The model that was asked for sets the price, not the one that answered, whichever cloud it was asked of: a Bedrock name with
  a region costs the same as the plain one.
- ``speed`` "fast" has a price of its own on the models sold that way, and changes nothing on the others.
- ``inference_geo`` "us" multiplies the price of every token, not that of a web search. The service tier changes nothing.
- There is no premium for a long prompt, except on Haiku 5.5, where a prompt of more than 100,000 tokens makes the whole request
  dearer.

Two differences from the client are meant. It prices a name it does not know as its default model (Opus 5.5); here such a name
has no price. And it has forgotten models that the list still has (Claude 3 Opus, Sonnet and Haiku); here they have their price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from claude_hooks_otel.units import DAY, DOLLAR

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_TOKENS_PER_PRICE = 1_000_000  # prices are stated per million tokens
_PICODOLLARS_PER_SEARCH = DOLLAR // 100  # 0.01 USD a web search, whatever the model
_US_INFERENCE = Decimal("1.1")  # inference kept inside the United States, relative to anywhere
_DAY_S = 86_400

# Wide enough that no product is ever rounded: a 64-bit count has 19 digits, a price a handful.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class _Model(NamedTuple):
    """Which Claude model a name means: "claude-3-5-haiku-20241022" is ("haiku", 3, 5)."""

    family: str
    major: int
    minor: int


# The same model under two names, of which the list has only the second; the client gives both the same price.
_SOLD_AS = {_Model("mythos", 5, 0): _Model("fable", 5, 0), _Model("mythos", 5, 1): _Model("fable", 5, 1)}
# Fast prices that the client has and the list has not, relative to the standard ones.
_FAST_PREMIUM = {_Model("opus", 4, 6): 6, _Model("opus", 4, 7): 6}
# Where the client charges the list's higher prices for a long prompt; elsewhere it stays with those for a short one.
_DEARER_WHEN_LONG = frozenset({_Model("haiku", 5, 5)})

# Both orders of family and version; a date, a revision or a cloud's suffix may follow.
_CLAUDE_NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-(?P<version>\d{1,2}(?:-\d{1,2})?)|(?P<old_version>\d{1,2}(?:-\d{1,2})?)-(?P<old_family>[a-z]+))"
    r"(?![a-z\d])"
)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What one request is billed for.

    Attributes:
        input: prompt tokens neither read from nor written to the cache.
        output: answer tokens, thinking included.
        cache_read: prompt tokens read from the cache.
        cache_write_5m: prompt tokens written to the cache for five minutes; tokens written without a stated lifetime count here,
            as they do in the client.
        cache_write_1h: prompt tokens written to the cache for an hour.
        web_searches: searches that the API ran on its side (``server_tool_use.web_search_requests``).
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What a model's tokens cost: USD per million tokens, for each kind of token in `TokenUsage`.

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
    """A model's prices as the owner states them, USD per million tokens: of a model no list has, or a price of the owner's own."""


def request_cost(
    usage: TokenUsage,
    requested_model: str,
    *,
    timestamp_ns: int,
    speed: str | None = None,
    inference_geo: str | None = None,
    overrides: Mapping[str, PriceOverride] | None = None,
) -> int | None:
    """Prices one request.

    The client prices each of ``usage.iterations`` (a request that went round through the API's own tools) by itself and adds.
    Costs being linear, that differs from pricing their sum on Haiku 5.5 alone, where each iteration's prompt is long or not.

    Args:
        usage: what the request is billed for.
        requested_model: the model asked for (``requestedModel`` in a transcript), in any cloud's spelling, with ``[1m]`` or not.
        timestamp_ns: when, Unix nanoseconds; a list price can begin on a day (UTC).
        speed: ``usage.speed`` of the answer; only "fast" matters.
        inference_geo: ``usage.inference_geo`` of the answer; only "us" matters.
        overrides: prices that come before the list's, by model name: the requested one, or the plain one in it
            ("claude-sonnet-4-5" in "us.anthropic.claude-sonnet-4-5-20250929-v1:0"). They are final, as an organisation's own
            prices are in the client: neither speed nor geography nor the prompt's length changes them.

    Returns:
        Picodollars, exact; a fraction of one is rounded half to even, once, at the end. None where the model has no known price,
        as ``<synthetic>`` has not, the client's name for messages it wrote itself.
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
    """The price list and its version, such as "genai-prices 0.2.3"."""
    from importlib.metadata import version  # noqa: PLC0415 - three quarters of this module's import time otherwise

    return f"genai-prices {version('genai-prices')}"


def _cost(usage: TokenUsage, prices: TokenPrices, factor: Decimal) -> int:
    """Picodollars; the factor multiplies the tokens' price alone."""
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


# Few models are in use at a time, but nothing bounds the names a gateway may make up.
@lru_cache(maxsize=256)
def _listed(requested_model: str, unix_day: int, *, fast: bool) -> tuple[tuple[int, TokenPrices], ...]:
    """The list's prices of a model on a day, longest prompt first, each for prompts of more tokens than the number before it.

    Nothing where the list has not the model, or not all five of its prices.
    """
    name = _claude_name(requested_model)
    if name is None or (info := _claude_models().get(model := _model_of(name))) is None:
        return ()
    day = datetime.fromtimestamp(unix_day * _DAY_S, UTC)
    standard = info.get_prices(day)
    price = info.get_prices(day, {"speed": "fast"}) if fast else standard
    premium = _FAST_PREMIUM.get(model, 1) if fast and price == standard else 1
    starts = _long_prompts(price) if model in _DEARER_WHEN_LONG else []
    with localcontext(_EXACT):
        steps = [(start, _token_prices(price, start + 1, premium)) for start in [*starts, -1]]
    return tuple((start, prices) for start, prices in steps if prices is not None)


def _token_prices(price: ModelPrice, prompt_tokens: int, premium: int) -> TokenPrices | None:
    """The list's prices for a prompt of that length; None where it has not all five."""
    write_5m = price.cache_write_mtok if price.cache_write_5m_mtok is None else price.cache_write_5m_mtok
    listed = (price.input_mtok, price.output_mtok, price.cache_read_mtok, write_5m, price.cache_write_1h_mtok)
    prices = [_at_length(each, prompt_tokens) * premium for each in listed if each is not None]
    return TokenPrices(*prices) if len(prices) == len(listed) else None


def _at_length(price: Decimal | TieredPrices, prompt_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if prompt_tokens > tier.start), price.base)


def _long_prompts(price: ModelPrice) -> list[int]:
    """The lengths, in tokens, beyond which a prompt has another price; the longest first."""
    listed = price.input_mtok
    return [] if listed is None or isinstance(listed, Decimal) else [tier.start for tier in reversed(listed.tiers)]


def _claude_name(name: str) -> re.Match[str] | None:
    """The plain name of a Claude model inside any spelling of it; dots between the numbers become dashes."""
    return _CLAUDE_NAME.search(name.lower().replace(".", "-"))


def _model_of(name: re.Match[str]) -> _Model:
    major, _, minor = (name["version"] or name["old_version"]).partition("-")
    return _Model(name["family"] or name["old_family"], int(major), int(minor or 0))


@cache
def _claude_models() -> dict[_Model, ModelInfo]:
    """The list's Claude models.

    It is imported here, by the first request to be priced, because it costs a quarter of a second and some 20 MB (7 where pydantic
    is loaded already), which a command that prices nothing need not pay. Importing it opens no connection: the package asks the
    network only when told to update.
    """
    from genai_prices.data import providers  # noqa: PLC0415

    anthropic = next(provider for provider in providers if provider.id == "anthropic")
    models = {}
    for info in anthropic.models:
        name = _claude_name(info.id)
        # The plain name and nothing more: a variant that the list tells apart must not pass for the model itself.
        if name is not None and name.group() == info.id.removesuffix("-latest"):
            models[_model_of(name)] = info
    return {**{model: models[same] for model, same in _SOLD_AS.items() if same in models}, **models}
