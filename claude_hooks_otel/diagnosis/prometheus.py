"""The far end of the chain: whether Prometheus has what this installation sent."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID

from claude_hooks_otel.diagnosis.finding import Finding, Level, Surroundings, fail, info, ok, warn
from claude_hooks_otel.export.http_answers import get
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.series.totals import read_exported_points
from claude_hooks_otel.settings import ConfigError, OtelSettings
from claude_hooks_otel.store.connection import connect, read_meta

# Seconds that Prometheus has to answer.
TIMEOUT_S = 5.0
# How far back a sample counts as arrived. There are not sessions on every day.
WITHIN = "7d"
# How far back a carried total counts: the rules record one every 15 minutes.
CARRIED_WITHIN = "1h"


class _NoAnswerError(Exception):
    """Prometheus did not answer a query. The message says why."""


def prometheus(surroundings: Surroundings) -> Iterator[Finding]:
    """Query the Prometheus of ``--prometheus`` or ``[monitoring] prometheus_url``. Without either, check nothing."""
    config = surroundings.config
    url = surroundings.prometheus_url or (None if isinstance(config, ConfigError) else config.monitoring.prometheus_url)
    if not url or isinstance(config, ConfigError):
        return
    if urlsplit(url).scheme not in {"http", "https"}:
        yield fail("prometheus", f"{url} is not an http:// or https:// address", "Correct the address.")
        return
    here = _store(surroundings)
    if here is None:
        yield info(
            "prometheus", "not asked: there is no store yet", "Start a Claude Code session, then run doctor again."
        )
        return
    stored_id, sessions_here = here
    resource = service_resource(OtelSettings.from_config(config, {}), stored_id)
    instance = str(resource.attributes[SERVICE_INSTANCE_ID])
    quoted = json.dumps(instance)  # PromQL quotes strings as JSON does
    try:
        series = _ask(url, f'count(last_over_time({{__name__=~"claude_.+", instance={quoted}}}[{WITHIN}]))')
        sessions = _ask(url, f"sum(last_over_time({catalog.SESSIONS.prometheus_name}{{instance={quoted}}}[{WITHIN}]))")
    except _NoAnswerError as error:
        yield fail("prometheus", f"{url}: {error}", "Check that Prometheus is running there.")
        return
    yield _arrival(url, instance, series, sessions, sessions_here)
    yield from _rules(url)


def _rules(url: str) -> Iterator[Finding]:
    """Check that the rules which carry totals forward are loaded and work.

    The rules run every 15 minutes, so on a new Prometheus they have recorded nothing yet. Therefore the list of rules decides. A server
    that does not list rules, or lists others, may have the totals from a server that does: then a recorded total decides.
    """
    try:
        rules = _carrying_rules(url)
    except _NoAnswerError:
        rules = []
    for rule in rules:
        if rule.get("health") == "err":
            observed = f"the rule {rule.get('name')} fails: {rule.get('lastError')}"
            yield warn("prometheus rules", observed, "Correct the error, then run doctor again.")
            return
    try:
        carried = bool(rules) or _ask(
            url, f'count(last_over_time({{__name__=~"claude_.+:carried"}}[{CARRIED_WITHIN}]))'
        )
    except _NoAnswerError as error:
        yield warn("prometheus rules", f"{url}: {error}", "Check that Prometheus is running there.")
        return
    if not carried:
        yield warn(
            "prometheus rules",
            "no rule carries totals forward: dashboards count too much over times without samples",
            "Load monitoring/setup/rules/claude-totals.yml into this Prometheus.",
        )


def _carrying_rules(url: str) -> list[dict[str, Any]]:
    """Return the loaded rules that carry totals forward, as Prometheus lists them."""
    listed = _json(f"{url.rstrip('/')}/api/v1/rules?type=record")
    try:
        rules = [rule for group in listed["data"]["groups"] for rule in group["rules"]]
        return [rule for rule in rules if re.fullmatch("claude_.+:carried", str(rule["name"]))]
    except (LookupError, TypeError) as error:
        raise _not_a_prometheus(error) from None


def _arrival(url: str, instance: str, series: float, sessions: float, sessions_here: int) -> Finding:
    if not series:
        return Finding(
            "prometheus",
            Level.FAIL if sessions_here else Level.WARN,
            f"{url} has no series of this installation ({instance}) within {WITHIN}",
            f"Check at {url}/targets that Prometheus scrapes the Collector, with honor_labels. Then run `claude-hooks-otel flush`.",
        )
    observed = f"{url}: {series:.0f} series of this installation, {sessions:.0f} sessions there, {sessions_here} here"
    if sessions < sessions_here:
        remedy = "A minute's delay is usual. After that, run `claude-hooks-otel flush` and check again."
        return warn("prometheus", observed, remedy)
    return ok("prometheus", observed)


def _store(surroundings: Surroundings) -> tuple[str, int] | None:
    """Return the installation's id and how many sessions it has counted. None without a store."""
    try:
        with closing(connect(surroundings.home.store, readonly=True)) as connection:
            instance = read_meta(connection, "instance_id")
            points = read_exported_points(connection, catalog.CATALOG)
            counted = sum(point.value for point in points if point.metric is catalog.SESSIONS)
            return (instance, counted) if instance else None
    except sqlite3.Error:
        return None


def _ask(url: str, expression: str) -> float:
    """Return the value of an expression with at most one element. 0 if it has none."""
    answer = _json(f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': expression})}")
    try:
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0
    except (ValueError, LookupError, TypeError) as error:
        raise _not_a_prometheus(error) from None


def _json(address: str) -> Any:
    """Return the parsed answer of an address."""
    try:
        answer = get(address, TIMEOUT_S)
    except requests.RequestException as error:
        raise _NoAnswerError(str(_root(error))) from None
    if answer.status_code != requests.codes.ok:
        raise _NoAnswerError(f"answers {answer.status_code} {answer.reason}")
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise _not_a_prometheus(error) from None


def _not_a_prometheus(error: Exception) -> _NoAnswerError:
    return _NoAnswerError(f"the server that answers is not a Prometheus ({type(error).__name__})")


def _root(error: BaseException) -> BaseException:
    """Return the error of the operating system that libraries wrapped in others."""
    return _root(error.__context__) if error.__context__ else error


CHECKS = (prometheus,)
