"""The versions of the client that the tests run, and what the older ones report differently (docs/numbers.md)."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from claude_hooks_otel.facts.pricing import TokenUsage, request_cost
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.sources.registration import OLDEST_CLIENT
from claude_hooks_otel.units import DOLLAR
from tests.support.client.scripted_api import Charge
from tests.support.client.truth import Totals
from tests.support.places import ROOT

BINARY_VARIABLE = "CLAUDE_CODE_BINARY"
# .ci/run installs the npm package @anthropic-ai/claude-code here: the version of the recordings, and the others next to it.
CACHE = ROOT / ".cache" / "claude-code"

# The oldest supported version, one in the middle, that of the recordings, and the newest when this list was last changed.
OLDEST = ".".join(map(str, OLDEST_CLIENT))
RECORDED = "2.1.330"
VERSIONS = (OLDEST, "2.1.200", RECORDED, "2.1.332")
# The last tested version that prices every cache write for five minutes.
_PRICES_FIVE_MINUTES = (2, 1, 150)
# The tested version that prices Sonnet 5 at 3 dollars per million input tokens, and everything else in proportion.
_PRICES_SONNET_5_AT = {(2, 1, 200): 3.0}
# The last tested version that writes no account of a session (``cost-state``) into its transcript.
_HAS_NO_ACCOUNT = (2, 1, 200)


def installed() -> list[Path]:
    """Return the executables of all installed versions."""
    return sorted(CACHE.parent.glob("claude-code*/node_modules/@anthropic-ai/claude-code-*/claude"))


def binary(version: str = RECORDED) -> Path | None:
    """Return the executable that CLAUDE_CODE_BINARY names, or that of a version; None if it is not installed."""
    if named := os.environ.get(BINARY_VARIABLE):
        return Path(named).absolute() if Path(named).is_file() else None
    return next((client for client in installed() if version_of(client) == tuple(map(int, version.split(".")))), None)


def version_of(client: Path) -> tuple[int, ...]:
    """Return the version of an executable, from the package that it is in. Without a package, it counts as the newest."""
    package = client.parent / "package.json"
    version = json.loads(package.read_text())["version"] if package.is_file() else VERSIONS[-1]
    return tuple(int(part) for part in version.split("."))


def has_account(client: Path | None) -> bool:
    """Return whether an executable writes an account, so that side requests such as compactions are known."""
    return client is not None and version_of(client) > _HAS_NO_ACCOUNT


def aligned(version: tuple[int, ...], client: Totals, ours: Totals, charges: Iterable[Charge]) -> tuple[Totals, Totals]:
    """Return the client's totals and ours without the known differences of a version, each computed exactly.

    Sonnet 5 gets today's price. Without an account, our totals lack the auxiliary requests. If a version prices cache writes of an hour as those of five minutes,
    the difference is added to the client's cost. The API does not say which agent paid it, so costs are then compared by model.
    """
    if version <= _HAS_NO_ACCOUNT:
        client = client | {kind: _without_auxiliary(client[kind]) for kind in ("tokens", "cost")}
    if price := _PRICES_SONNET_5_AT.get(version):
        client = client | {"cost": {key: cost * _today(key, price) for key, cost in client["cost"].items()}}
    if version > _PRICES_FIVE_MINUTES:
        return client, ours
    costs, our_costs = _by_model(client["cost"]), _by_model(ours["cost"])
    for charge in charges:
        costs[normalize(charge.model)] += _surcharge(charge) / DOLLAR
    return client | {"cost": dict(costs)}, ours | {"cost": dict(our_costs)}


def _without_auxiliary(totals: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in totals.items() if key.split("|")[1] != "auxiliary"}


def _by_model(costs: Mapping[str, float]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, value in costs.items():
        found[key.split("|")[0]] += value  # type: ignore[assignment]  # dollars
    return found


def _today(key: str, price: float) -> float:
    """Return by what to multiply a cost of Sonnet 5 at an earlier price. Other models keep their cost."""
    model = key.split("|", maxsplit=1)[0]
    if model != "claude-sonnet-5":
        return 1.0
    million = request_cost(TokenUsage(input=1_000_000), model, timestamp_ns=time.time_ns())
    return (million or 0) / DOLLAR / price


def _surcharge(charge: Charge) -> int:
    """Return how many picodollars cache writes of an hour cost more than those of five minutes."""
    tokens, now_ns = charge.usage.cache_write_1h, time.time_ns()
    hour = request_cost(TokenUsage(cache_write_1h=tokens), charge.model, timestamp_ns=now_ns)
    minutes = request_cost(TokenUsage(cache_write_5m=tokens), charge.model, timestamp_ns=now_ns)
    return (hour or 0) - (minutes or 0)
