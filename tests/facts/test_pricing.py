"""Costs equal those that the client reports, to the last digit. The arithmetic is exact."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import astuple
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction

import genai_prices
import pytest
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, PriceVariant, Provider
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.facts import pricing
from claude_hooks_otel.facts.pricing import PriceOverride, TokenUsage, price_table_version, request_cost
from claude_hooks_otel.units import DOLLAR, SECOND
from tests.support.places import DATA

RECORDED = [json.loads(line) for line in (DATA / "pricing/requests.jsonl").read_text().splitlines()]
NOON = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()) * SECOND

# Differences from the client. For names of no known model, the client uses the price of its default model.
UNKNOWN = {"claude-foo-9", "my-gateway/model-x", "claude-opus-5-6", "claude-opus-4-10", "claude-haiku-6"}
# Models that the client no longer offers, and spellings that it does not accept. It uses the price of its default model too.
UNKNOWN_TO_THE_CLIENT = {
    "claude-2.1": "8",
    "claude-3-opus-20240229": "15",
    "claude-3-haiku-20240307": "0.25",
    "claude-4-sonnet": "3",
    "claude-haiku-3-5": "0.8",
    "claude-5-5-opus": "4",
}
OWN, FREE = PriceOverride(*map(Decimal, ("1", "2", "3", "4", "5"))), PriceOverride(*[Decimal(0)] * 5)
CLIENT_DEFAULT = "claude-opus-5-5"
# A stream was cut and the client repeated the request. It counts both attempts, the transcript shows the second.
CUT_STREAM = ("api-errors", 0.00066)

MODELS = sorted({r["requested_model"] for r in RECORDED} - UNKNOWN)
LENGTH_MATTERS = {name for name in MODELS if "haiku-5-5" in name}
MIX = TokenUsage(input=1003, output=507, cache_read=20011, cache_write_5m=3001, cache_write_1h=2003)

models = st.sampled_from(MODELS)
counts = st.integers(min_value=0, max_value=10**12)
usages = st.builds(TokenUsage, counts, counts, counts, counts, counts, counts)
speeds = st.sampled_from([None, "standard", "fast"])
geos = st.sampled_from([None, "", "us", "eu"])
prices = st.decimals(min_value=0, max_value=1000, allow_nan=False, allow_infinity=False, places=11)
overrides = st.builds(PriceOverride, prices, prices, prices, prices, prices)


def cost(usage, model, **context):
    return request_cost(usage, model, timestamp_ns=NOON, **context)


def plus(one, other):
    return TokenUsage(*map(sum, zip(one, other, strict=True)))


def per_million(model, kind="input", **context):
    """USD per million tokens of a kind."""
    return Fraction(cost(TokenUsage(**{kind: 1}), model, **context), DOLLAR // 1_000_000)


def recorded_cost(request):
    at = int(datetime.fromisoformat(request["timestamp"]).timestamp()) * SECOND
    context = {"timestamp_ns": at, "speed": request["speed"], "inference_geo": request["inference_geo"]}
    parts = request.get("iterations") or [request["usage"]]
    found = [request_cost(TokenUsage(**part), request["requested_model"], **context) for part in parts]
    return None if None in found else sum(found)


def is_named_difference(request):
    return (
        request["requested_model"] in UNKNOWN | UNKNOWN_TO_THE_CLIENT.keys()
        or (request["recording"], request["cost_usd"]) == CUT_STREAM
    )


# -- the recorded requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [r for r in RECORDED if not is_named_difference(r)],
    ids=lambda r: f"{r['recording']}-{r['requested_model']}",
)
def test_each_recorded_request_costs_what_the_client_reports(request_):
    assert recorded_cost(request_) / DOLLAR == pytest.approx(request_["cost_usd"], rel=1e-9, abs=0)


def test_the_recording_is_large_and_has_few_differences():
    """Each named difference exists, and nearly all recorded requests are compared."""
    different = [r for r in RECORDED if is_named_difference(r)]
    assert {r["requested_model"] for r in different} >= UNKNOWN | UNKNOWN_TO_THE_CLIENT.keys()
    assert len(RECORDED) > 350
    assert len(different) < 25


@pytest.mark.parametrize("name", sorted(UNKNOWN | UNKNOWN_TO_THE_CLIENT.keys()))
def test_the_client_prices_an_unknown_name_as_its_default_model(name):
    requests = [r for r in RECORDED if r["requested_model"] == name]
    for request in requests:
        expected = cost(TokenUsage(**request["usage"]), CLIENT_DEFAULT) / DOLLAR
        assert request["cost_usd"] == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize(("name", "dollars"), UNKNOWN_TO_THE_CLIENT.items())
def test_a_model_that_the_client_no_longer_offers_has_its_list_price(name, dollars):
    assert per_million(name) == Fraction(dollars)


def test_a_retry_after_a_cut_stream_costs_less_than_the_client_reports():
    (request,) = [r for r in RECORDED if (r["recording"], r["cost_usd"]) == CUT_STREAM]
    assert 0 < recorded_cost(request) / DOLLAR < request["cost_usd"]


# -- names -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dollars"),
    [
        ("gpt-5", "1.25 + 10 + 0.125 + 1.25 + 1.25"),  # no price for written cache tokens
        ("openai/gpt-5", "1.25 + 10 + 0.125 + 1.25 + 1.25"),
        ("GPT-5[1m]", "1.25 + 10 + 0.125 + 1.25 + 1.25"),
        ("moonshotai/kimi-k2", "0.57 + 2.3 + 0.57 + 0.57 + 0.57"),  # no price for cached tokens
        ("claude-2.1", "8 + 24 + 8 + 8 + 8"),
    ],
)
def test_models_of_other_makers_have_their_list_price(name, dollars):
    """Cached tokens without a price cost as much as other input."""
    parts = [TokenUsage()._replace(**{name: 1000}) for name in TokenUsage._fields if name != "web_searches"]
    assert sum(cost(part, name) for part in parts) * 1000 == sum(map(Fraction, dollars.split(" + "))) * DOLLAR


@pytest.mark.parametrize(
    "requested", ["team-default", "arn:aws:bedrock:us-east-1:1:application-inference-profile/4jqt", ""]
)
def test_a_requested_name_without_a_price_costs_what_the_answering_model_costs(requested):
    """Gateways have aliases, and Bedrock has inference profiles. A requested name with a price decides."""
    expected = cost(MIX, "claude-sonnet-4-5")
    assert cost(MIX, requested, answering_model="us.anthropic.claude-sonnet-4-5-20250929-v1:0") == expected
    assert cost(MIX, requested, answering_model="other-alias") is None
    assert cost(MIX, "claude-sonnet-4-5", answering_model="claude-opus-4-5") == expected


@pytest.mark.parametrize(
    ("configured", "requested"),
    [
        ("glm-4.6", "z-ai/glm-4.6"),
        ("z-ai/glm-4.6", "Z-AI/GLM-4.6"),
        ("glm-4.6", "glm-4.6[1m]"),
        ("glm-4.6-1m", "glm-4.6[1m]"),
        ("qwen3-coder-480b", "Qwen3-Coder-480B"),
        ("4jqtkehs0zy3", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/4jqtkehs0zy3"),
    ],
)
def test_an_override_matches_the_label_of_a_model(configured, requested):
    """``doctor`` and the metrics name a model by its label. Case and ``[1m]`` do not matter."""
    assert cost(MIX, requested) is None
    assert cost(MIX, requested, overrides={configured: OWN}) == cost(MIX, configured, overrides={configured: OWN})
    assert cost(MIX, requested, overrides={configured: OWN, requested: FREE}) == cost(MIX, "x", overrides={"x": FREE})


@pytest.mark.parametrize("name", [*sorted(UNKNOWN), "<synthetic>", "", "claude", "claude-", "opus"])
def test_a_name_without_a_model_has_no_price(name):
    assert cost(MIX, name) is None
    assert cost(TokenUsage(), name) is None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0[1m]", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku@20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-opus-4@20250514", "claude-opus-4-0"),
        ("claude-opus-5-20261101", "claude-opus-5"),
        ("claude-opus-5-2026-11-01", "claude-opus-5"),
        ("anthropic/claude-opus-4.8", "claude-opus-4-8"),
        ("CLAUDE-OPUS-5-5", "claude-opus-5-5"),
    ],
)
def test_every_spelling_of_a_name_finds_the_model(name, plain):
    assert cost(MIX, name) == cost(MIX, plain) is not None


def test_models_that_differ_in_one_number_have_their_own_prices():
    """A prefix is not a match: Opus 5 and 5.5 have different prices, and Opus 4.10 is not Opus 4.1."""
    assert per_million("claude-opus-5") == 5
    assert per_million("claude-opus-5-5") == 4
    assert per_million("claude-opus-4-1-20250805") == 15
    assert cost(MIX, "claude-opus-4-10") is None


def test_no_two_models_of_the_list_share_a_name():
    """Each Claude model of the list is found by its own name, except Claude 1 and 2, which had no cache prices."""
    listed = next(p for p in genai_prices.data_snapshot.get_snapshot().providers if p.id == "anthropic").models
    found = {id(info) for info in pricing._claude_models().values()}
    assert {info.id for info in listed if id(info) not in found} == {"claude-2", "claude-v1"}


# -- the rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [None, "fast"])
@pytest.mark.parametrize(
    "name", ["claude-opus-5-5", "claude-opus-4-8", "claude-sonnet-5", "claude-haiku-5-5", "claude-3-opus-latest"]
)
def test_a_cost_equals_that_of_genai_prices(name, speed):
    """For a short prompt, the documented function of genai-prices returns the same price."""
    usage = MIX._replace(web_searches=0 if "3-opus" in name else 3)
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h,
            output_tokens=usage.output,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
            cache_write_1h_tokens=usage.cache_write_1h,
            web_searches=usage.web_searches,
        ),
        name,
        provider_id="anthropic",
        genai_request_timestamp=datetime(2026, 11, 23, tzinfo=UTC),
        price_context={"speed": speed} if speed else None,
    )
    assert cost(usage, name, speed=speed) == theirs.total_price * DOLLAR


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("claude-opus-5-5", 2),
        ("claude-opus-5", 2),
        ("claude-opus-4-8", 2),
        ("claude-fable-5-2", 2),
        ("claude-mythos-5-2", 2),
        ("claude-opus-4-7", 6),
        ("claude-opus-4-6", 6),
        ("claude-opus-4-5", 1),
        ("claude-sonnet-5-5", 1),
        ("claude-haiku-5-5", 1),
        ("claude-fable-5", 1),
    ],
)
def test_fast_mode_multiplies_the_price_of_every_token_if_the_model_offers_it(name, factor):
    assert cost(MIX, name, speed="fast") == factor * cost(MIX, name)
    assert cost(MIX, name, speed="standard") == cost(MIX, name)


def test_us_inference_adds_a_tenth_to_tokens_but_not_to_searches():
    searched = MIX._replace(web_searches=3)
    for name in MODELS:
        plain = cost(MIX, name)
        assert cost(MIX, name, inference_geo="us") * 10 == plain * 11
        assert cost(searched, name, inference_geo="us") - cost(MIX, name, inference_geo="us") == 3 * DOLLAR // 100
        assert plain == cost(MIX, name, inference_geo="eu") == cost(MIX, name, inference_geo="not_available")


def test_a_prompt_of_more_than_100000_tokens_raises_the_price_of_haiku_5_5():
    """The output costs more too. The output's own length, and exactly 100,000 tokens, are not a long prompt."""
    assert cost(TokenUsage(input=100_000, output=1000), "claude-haiku-5-5") == 10_500_000_000
    assert cost(TokenUsage(input=100_001, output=1000), "claude-haiku-5-5") == 52_500_500_000
    assert cost(TokenUsage(input=1, output=100_001), "claude-haiku-5-5") == 50_000_600_000


@pytest.mark.parametrize("kind", ["input", "cache_read", "cache_write_5m", "cache_write_1h"])
def test_every_kind_of_prompt_token_counts_for_the_length_of_a_prompt(kind):
    short, long = (cost(TokenUsage(**{kind: n}), "claude-haiku-5-5") for n in (100_000, 100_001))
    assert long / 100_001 == pytest.approx(5 * short / 100_000)


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "claude-sonnet-4-5[1m]", "claude-opus-4-6", "claude-sonnet-4-6"])
def test_no_other_model_charges_for_length_even_if_the_list_does(name):
    """The list has, or had until 2026-03-13, a higher price beyond 200,000 tokens. The client has none."""
    before = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * SECOND
    one = request_cost(TokenUsage(input=1, output=1), name, timestamp_ns=before)
    assert request_cost(TokenUsage(input=900_000, output=900_000), name, timestamp_ns=before) == 900_000 * one


# -- the owner's prices ------------------------------------------------------------------------------------------------------


def test_the_owners_price_gives_an_unknown_model_a_price():
    usage = TokenUsage(input=1, output=10, cache_read=100, cache_write_5m=1000, cache_write_1h=10_000, web_searches=1)
    assert cost(usage, "my-gateway/model-x", overrides={"my-gateway/model-x": OWN}) == 54_321_000_000 + DOLLAR // 100


def test_the_owners_price_wins_over_the_price_of_the_list():
    listed = cost(MIX, "claude-sonnet-4-5")
    assert cost(MIX, "claude-sonnet-4-5", overrides={"claude-sonnet-4-5": OWN}) != listed
    assert cost(MIX, "claude-sonnet-4-5", overrides={"claude-sonnet-4-6": OWN}) == listed


def test_an_override_of_the_plain_name_covers_every_spelling_and_that_of_the_exact_name_wins():
    bedrock = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    free = PriceOverride(*[Decimal(0)] * 5)
    assert per_million(bedrock, "output", overrides={"claude-sonnet-4-5": OWN}) == 2
    assert per_million(bedrock, "output", overrides={"claude-sonnet-4-5": OWN, bedrock: free}) == 0


def test_the_owners_price_is_final():
    """Speed, geography and a long prompt do not change it."""
    own = {"claude-haiku-5-5": OWN, "claude-opus-5-5": OWN}
    assert per_million("claude-opus-5-5", speed="fast", inference_geo="us", overrides=own) == 1
    assert cost(TokenUsage(input=200_000), "claude-haiku-5-5", overrides=own) == 200_000 * 1_000_000


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity"])
@pytest.mark.parametrize("position", range(5))
def test_an_invalid_price_raises_an_error_that_names_it(price, position):
    given_prices = [Decimal(1)] * 5
    given_prices[position] = Decimal(price)
    with pytest.raises(
        ValueError, match="^" + ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")[position]
    ):
        PriceOverride(*given_prices)


# -- arithmetic --------------------------------------------------------------------------------------------------------------


@given(models, speeds, geos)
def test_usage_without_tokens_costs_nothing(model, speed, geo):
    assert cost(TokenUsage(), model, speed=speed, inference_geo=geo) == 0


@given(usages, usages, models, speeds, geos)
def test_costs_add_up_exactly(one, other, model, speed, geo):
    """No list price has a fraction of a picodollar per token, so two requests cost as much as one with the tokens of both."""
    if model in LENGTH_MATTERS:
        one, other = (TokenUsage(*(n % 12_500 for n in u)) for u in (one, other))
    context = {"speed": speed, "inference_geo": geo}
    assert cost(one, model, **context) + cost(other, model, **context) == cost(plus(one, other), model, **context)


@given(usages, usages, overrides)
def test_costs_at_prices_with_many_digits_add_up_except_for_one_rounding(one, other, own):
    context = {"overrides": {"x": own}}
    assert abs(cost(one, "x", **context) + cost(other, "x", **context) - cost(plus(one, other), "x", **context)) <= 1


@given(usages, usages, models, speeds, geos)
def test_more_usage_never_costs_less(one, more, model, speed, geo):
    context = {"speed": speed, "inference_geo": geo}
    assert cost(plus(one, more), model, **context) >= cost(one, model, **context) >= 0


@given(usages, overrides)
def test_a_cost_is_rounded_half_to_even_once_at_the_end(usage, own):
    """The same sum in fractions, which are never rounded, gives the same number."""
    tokens = zip(usage[:5], astuple(own), strict=True)
    exact = sum(count * Fraction(price) for count, price in tokens) * DOLLAR / 1_000_000
    assert cost(usage, "x", overrides={"x": own}) == round(exact) + usage.web_searches * DOLLAR // 100


def test_the_surrounding_decimal_context_changes_nothing():
    expected = cost(MIX, "claude-opus-4-7", speed="fast", inference_geo="us")
    pricing._listed.cache_clear()
    with localcontext(prec=2):
        assert cost(MIX, "claude-opus-4-7", speed="fast", inference_geo="us") == expected
    pricing._listed.cache_clear()


@pytest.mark.parametrize(("tokens", "picodollars"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_half_a_picodollar_is_rounded_to_even(tokens, picodollars):
    half = PriceOverride(*[Decimal("0.0000005")] * 5)
    assert cost(TokenUsage(input=tokens), "x", overrides={"x": half}) == picodollars


# -- future lists ------------------------------------------------------------------------------------------------------------


def model_info(name, fast=None, **listed):
    variants = [PriceVariant(when={"speed": "fast"}, prices=ModelPrice(**fast))] if fast else None
    return ModelInfo(id=name, match=ClauseEquals(name), prices=ModelPrice(**listed), price_variants=variants)


@pytest.fixture
def list_of(monkeypatch):
    """Replaces the models of the list."""

    def replace_with(*infos):
        anthropic = Provider(id="anthropic", name="Anthropic", api_pattern="", models=list(infos))
        monkeypatch.setattr("genai_prices.data.providers", [anthropic])
        pricing._claude_models.cache_clear()
        pricing._listed.cache_clear()

    yield replace_with
    pricing._claude_models.cache_clear()
    pricing._listed.cache_clear()


def five(dollars):
    return {
        f"{kind}_mtok": Decimal(dollars) for kind in ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    }


def test_a_fast_price_of_the_list_wins_over_the_known_premium(list_of):
    list_of(model_info("claude-opus-4-7", five(7), **five(5)), model_info("claude-opus-4-6", **five(5)))
    assert per_million("claude-opus-4-7", speed="fast") == 7
    assert per_million("claude-opus-4-6", speed="fast") == 30


def test_an_entry_for_mythos_in_the_list_wins_over_the_known_price(list_of):
    list_of(model_info("claude-mythos-5", **five(9)), model_info("claude-fable-5", **five(10)))
    assert per_million("claude-mythos-5") == 9


def test_a_model_without_one_of_its_prices_has_no_cost(list_of):
    """A sum without one of its parts would look like a valid price."""
    for missing in five(1):
        list_of(model_info("claude-opus-7", **{kind: price for kind, price in five(1).items() if kind != missing}))
        assert cost(MIX, "claude-opus-7") is None


def test_a_variant_with_its_own_entry_does_not_replace_the_model(list_of):
    list_of(model_info("claude-opus-7", **five(5)), model_info("claude-opus-7-mini", **five(1)))
    assert per_million("claude-opus-7") == 5


def test_a_price_for_five_minutes_wins_over_the_general_write_price(list_of):
    list_of(model_info("claude-opus-7", cache_write_5m_mtok=Decimal(2), **five(1)))
    assert per_million("claude-opus-7", "cache_write_5m") == 2


# -- time, memory and network ------------------------------------------------------------------------------------------------


def test_a_model_is_looked_up_once_a_day_and_the_cache_of_names_is_bounded():
    pricing._listed.cache_clear()
    for second in range(1000):
        request_cost(MIX, "claude-opus-5-5", timestamp_ns=NOON + second * SECOND)
    assert pricing._listed.cache_info().misses == 1
    for number in range(1000):
        cost(MIX, f"made-up-{number}")
    assert pricing._listed.cache_info().currsize <= 256


def in_a_fresh_interpreter(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_price_list_is_loaded_only_for_a_price():
    heavy = in_a_fresh_interpreter(
        "import sys\n"
        "from claude_hooks_otel.facts import pricing\n"
        "pricing.price_table_version()\n"
        "print({'genai_prices', 'httpx2', 'pydantic'} & sys.modules.keys())"
    )
    assert heavy.strip() == "set()"


def test_pricing_opens_no_socket():
    """Python reports every socket to an audit hook. Loading the list and pricing open none."""
    sockets = in_a_fresh_interpreter(
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: event.startswith('socket.') and opened.append(event))\n"
        "from claude_hooks_otel.facts.pricing import TokenUsage, request_cost\n"
        "assert request_cost(TokenUsage(input=1), 'claude-opus-5-5', timestamp_ns=0) == 4_000_000\n"
        "assert request_cost(TokenUsage(input=1), 'no-such-model', timestamp_ns=0) is None\n"
        "print(opened)\n"
        "import socket\n"
        "socket.socket().close()\n"
        "assert opened"
    )
    assert sockets.strip() == "[]"


def test_the_price_list_has_a_name_and_a_version():
    name, version = price_table_version().split()
    assert (name, version) == ("genai-prices", genai_prices.__version__)
