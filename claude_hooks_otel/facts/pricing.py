"""The price of one Claude API request: the list prices of genai-prices with the rules of Claude Code.

The rules were observed with Claude Code 2.1.330. ``tests/data/pricing`` has the requests and the client's cost of each.

- The requested model sets the price, not the model that answered. The cloud does not matter: a Bedrock name with a region costs the
  same as the plain name.
- ``speed`` "fast" has its own price on the models that offer it, and changes nothing on the others.
- ``inference_geo`` "us" multiplies the price of every token, but not the price of a web search. The service tier changes nothing.
- A long prompt costs no premium, except on Haiku 5.5. There, more than 100,000 tokens raise the price of the whole request.

These differences from the client are intended. The client prices an unknown model as its default model (Opus 5.5). Here, a requested
name without a price, such as a gateway's alias or an inference profile, has the price of the model that answered, and if that is
unknown, too, no price. Models of other makers have their list price; where the list has no price for a class of cached tokens, they
cost as much as other input. The client has no price for some old models of the list (Claude 3 Opus, Sonnet and Haiku). Here they have
their list price.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.units import DAY, DOLLAR, SECOND

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_TOKENS_PER_PRICE = 1_000_000  # prices are per million tokens
_PICODOLLARS_PER_SEARCH = DOLLAR // 100  # 0.01 USD a web search, whatever the model
_US_INFERENCE = Decimal("1.1")  # the factor for inference in the United States only

# Wide enough that no product is rounded. A 64-bit count has 19 digits, and a price has few.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


class _Model(NamedTuple):
    """A Claude model: "claude-3-5-haiku-20241022" is ("haiku", 3, 5)."""

    family: str
    major: int
    minor: int


# Models that are sold under a second name. The list has only the second name. The client gives both the same price.
_SOLD_AS = {_Model("mythos", 5, 0): _Model("fable", 5, 0), _Model("mythos", 5, 1): _Model("fable", 5, 1)}
# The price of fast inference relative to the standard price. The client has these factors, the list does not.
_FAST_PREMIUM = {_Model("opus", 4, 6): 6, _Model("opus", 4, 7): 6}
# Models for which the client charges the list's higher price of a long prompt. For all others it charges the price of a short one.
_PRICED_BY_LENGTH = frozenset({_Model("haiku", 5, 5)})

# The client's mark for a context of a million tokens.
_LONG_CONTEXT = re.compile(r"\[1m\]$", re.IGNORECASE)
# Family and version, in either order. A date, a revision or a cloud's suffix may follow.
_CLAUDE_NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-(?P<version>\d{1,2}(?:-\d{1,2})?)|(?P<old_version>\d{1,2}(?:-\d{1,2})?)-(?P<old_family>[a-z]+))"
    r"(?![a-z\d])"
)


class TokenUsage(NamedTuple):
    """The billed usage of one request.

    Attributes:
        input: prompt tokens neither read from nor written to the cache.
        output: answer tokens, thinking included.
        cache_read: prompt tokens read from the cache.
        cache_write_5m: prompt tokens written to the cache for five minutes. Tokens without a lifetime count here, as in the client.
        cache_write_1h: prompt tokens written to the cache for an hour.
        web_searches: searches that the API itself ran (``server_tool_use.web_search_requests``).
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0

    @property
    def prompt(self) -> int:
        """The length of the prompt in tokens."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


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
    """The prices that the owner configured for a model, USD per million tokens. They replace the list's."""


def request_cost(
    usage: TokenUsage,
    requested_model: str,
    *,
    answering_model: str | None = None,
    timestamp_ns: int,
    speed: str | None = None,
    inference_geo: str | None = None,
    overrides: Mapping[str, PriceOverride] | None = None,
) -> int | None:
    """Return the cost of one request.

    A request that uses the API's own tools has several rounds (``usage.iterations``). The client prices each round and adds them up.
    Costs are linear, so a price for the sum of the rounds differs only on Haiku 5.5, where the length of each prompt matters.

    Args:
        usage: the billed usage.
        requested_model: the requested model (``requestedModel`` in a transcript), in any cloud's spelling, with or without
            ``[1m]``.
        answering_model: the model that answered (``message.model``). It sets the price if the requested one has none.
        timestamp_ns: the request's time, Unix nanoseconds. List prices change at the start of a day (UTC).
        speed: ``usage.speed`` of the answer. Only "fast" matters.
        inference_geo: ``usage.inference_geo`` of the answer. Only "us" matters.
        overrides: prices that replace the list's, by model name: the whole name, its label in the metrics, or the plain name in it
            ("claude-sonnet-4-5" in "us.anthropic.claude-sonnet-4-5-20250929-v1:0"). Case and ``[1m]`` do not matter. Speed,
            geography and the prompt's length do not change them. The client treats an organization's own prices in the same way.

    Returns:
        Picodollars, exact. A fraction is rounded half to even, once, at the end. None if the model has no known price. An example
        is ``<synthetic>``, the client's name for messages that it wrote itself.
    """
    for name in filter(None, (requested_model, answering_model)):
        own = _override(name, overrides) if overrides else None
        if own is not None:
            return _cost(usage, own, Decimal(1))
        for above, prices in _listed(name, timestamp_ns // DAY, fast=speed == "fast"):
            if usage.prompt > above:
                return _cost(usage, prices, _US_INFERENCE if inference_geo == "us" else Decimal(1))
    return None


def load_prices() -> None:
    """Load the price list now. Otherwise the first request loads it."""
    _claude_models()


def price_table_version() -> str:
    """Return the name and version of the price list, for example "genai-prices 0.2.3"."""
    from importlib.metadata import version  # noqa: PLC0415 — otherwise three quarters of this module's import time

    return f"genai-prices {version('genai-prices')}"


def _cost(usage: TokenUsage, prices: TokenPrices, factor: Decimal) -> int:
    """Return picodollars. The factor multiplies only the price of the tokens."""
    if factor == 1 and (whole := _whole(prices)) is not None:
        counts = (usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h)
        return (
            sum(number * price for number, price in zip(counts, whole, strict=True))
            + usage.web_searches * _PICODOLLARS_PER_SEARCH
        )
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


@lru_cache(maxsize=256)
def _whole(prices: TokenPrices) -> tuple[int, ...] | None:
    """Return the prices in picodollars for each token, which is much faster to multiply; None if one of them is no whole number."""
    with localcontext(_EXACT):
        each = [getattr(prices, field.name) * (DOLLAR // _TOKENS_PER_PRICE) for field in fields(prices)]
    return tuple(map(int, each)) if all(price == int(price) for price in each) else None


def _override(requested_model: str, overrides: Mapping[str, PriceOverride]) -> PriceOverride | None:
    if requested_model in overrides:
        return overrides[requested_model]
    by_label = {normalize(name): price for name, price in overrides.items()}
    claude = _claude_name(requested_model)
    names = (requested_model, _LONG_CONTEXT.sub("", requested_model), claude.group() if claude else "")
    return next((by_label[label] for label in map(normalize, filter(None, names)) if label in by_label), None)


# Few models are in use at a time, but a gateway can make up any number of names.
@lru_cache(maxsize=256)
def _listed(requested_model: str, unix_day: int, *, fast: bool) -> tuple[tuple[int, TokenPrices], ...]:
    """Return the list's prices of a model on a day, as (tokens, prices for longer prompts). The largest number comes first.

    The result is empty if the list lacks the model or one of its five prices.
    """
    name = _claude_name(requested_model)
    day = datetime.fromtimestamp(unix_day * (DAY // SECOND), UTC)
    if name is None:
        return _listed_elsewhere(requested_model, day)
    if (info := _claude_models().get(model := _model_of(name))) is None:
        return ()
    standard = info.get_prices(day)
    price = info.get_prices(day, {"speed": "fast"}) if fast else standard
    premium = _FAST_PREMIUM.get(model, 1) if fast and price == standard else 1
    starts = _long_prompts(price) if model in _PRICED_BY_LENGTH else []
    with localcontext(_EXACT):
        steps = [(start, _token_prices(price, start + 1, premium)) for start in [*starts, -1]]
    return tuple((start, prices) for start, prices in steps if prices is not None)


def _listed_elsewhere(requested_model: str, day: datetime) -> tuple[tuple[int, TokenPrices], ...]:
    """Return the list's prices of another maker's model. A gateway may put the maker's name before it: ``moonshotai/kimi-k2``."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 — see _claude_models

    name = _LONG_CONTEXT.sub("", requested_model.lower())
    for candidate in dict.fromkeys((name, name.rpartition("/")[2])):
        try:
            _, info = get_snapshot().find_provider_model(candidate, None, None, None)
        except LookupError:
            continue
        price = info.get_prices(day)
        if price.input_mtok is None or price.output_mtok is None:
            return ()
        with localcontext(_EXACT):
            return tuple((start, _with_cache(price, start + 1)) for start in [*_long_prompts(price), -1])
    return ()


def _with_cache(price: ModelPrice, prompt_tokens: int) -> TokenPrices:
    """Return prices in which a class of cached tokens without a price costs as much as other input."""
    written = price.cache_write_5m_mtok or price.cache_write_mtok
    listed = (price.input_mtok, price.output_mtok, price.cache_read_mtok, written, price.cache_write_1h_mtok or written)
    return TokenPrices(*(_at_length(each or price.input_mtok or Decimal(0), prompt_tokens) for each in listed))


def _token_prices(price: ModelPrice, prompt_tokens: int, premium: int) -> TokenPrices | None:
    """Return the list's prices for a prompt of this length; None if it lacks one of the five."""
    write_5m = price.cache_write_mtok if price.cache_write_5m_mtok is None else price.cache_write_5m_mtok
    listed = (price.input_mtok, price.output_mtok, price.cache_read_mtok, write_5m, price.cache_write_1h_mtok)
    prices = [_at_length(each, prompt_tokens) * premium for each in listed if each is not None]
    return TokenPrices(*prices) if len(prices) == len(listed) else None


def _at_length(price: Decimal | TieredPrices, prompt_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if prompt_tokens > tier.start), price.base)


def _long_prompts(price: ModelPrice) -> list[int]:
    """Return the lengths in tokens above which a prompt has another price, the longest first."""
    listed = price.input_mtok
    return [] if listed is None or isinstance(listed, Decimal) else [tier.start for tier in reversed(listed.tiers)]


def _claude_name(name: str) -> re.Match[str] | None:
    """Find the plain name of a Claude model in any spelling of it, with dashes instead of dots between the numbers."""
    return _CLAUDE_NAME.search(name.lower().replace(".", "-"))


def _model_of(name: re.Match[str]) -> _Model:
    major, _, minor = (name["version"] or name["old_version"]).partition("-")
    return _Model(name["family"] or name["old_family"], int(major), int(minor or 0))


@cache
def _claude_models() -> dict[_Model, ModelInfo]:
    """Return the list's Claude models.

    The list is imported with the first request, because that takes a quarter of a second and some 20 MB (7 if pydantic is loaded
    already). The import opens no connection. The package uses the network only to update its prices, and only on request.
    """
    from genai_prices.data import providers  # noqa: PLC0415

    anthropic = next(provider for provider in providers if provider.id == "anthropic")
    models = {}
    for info in anthropic.models:
        name = _claude_name(info.id)
        # A variant of a model can have its own entry in the list. It must not replace the model.
        if name is not None and name.group() == info.id.removesuffix("-latest"):
            models[_model_of(name)] = info
    return {**{model: models[same] for model, same in _SOLD_AS.items() if same in models}, **models}
