"""Every number, bar and row of the dashboards leads on: to the next dashboard with the same filters, to traces and to log events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from monitoring.dashboards.drilldown import NEXT, STORES
from monitoring.expressions import FILTERS
from tests.support.stack.panels import boards

BOARDS = {board["uid"]: board for board in boards()}


def links_of(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the links of a panel's values, or of its table's columns."""
    config = panel["fieldConfig"]
    found = list(config["defaults"].get("links") or [])
    for override in config["overrides"]:
        found += [link for each in override["properties"] if each["id"] == "links" for link in each["value"]]
    return found


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for uid, board in BOARDS.items():
        yield from ((uid, panel) for panel in board["panels"] if panel["type"] != "row")


@pytest.mark.parametrize(
    ("uid", "panel"), [pytest.param(*each, id=f"{each[0]}-{each[1]['title']}") for each in panels()]
)
def test_every_panel_leads_to_the_next_dashboard_and_to_traces_and_log_events(uid: str, panel: dict[str, Any]) -> None:
    links = links_of(panel)
    titles = {link["title"] for link in links}
    assert titles >= {"Traces in Jaeger", "Log events in VictoriaLogs"}
    assert uid not in NEXT or NEXT[uid][1] in titles
    for link in links:
        if link["url"].startswith("/d/"):
            keeps_every_filter(link["url"])
        else:
            asks_one_store(link["url"])


def keeps_every_filter(url: str) -> None:
    address, _, query = url.partition("?")
    assert address.removeprefix("/d/") in BOARDS
    kept = set(re.findall(r"\$\{(\w+):queryparam\}", query))
    given = {name.removeprefix("var-") for name in parse_qs(query) if name.startswith("var-")}
    assert kept | given == {"datasource", *STORES, *FILTERS}
    assert not kept & given
    assert "${__url_time_range}" in query


def asks_one_store(url: str) -> None:
    # A value of Grafana's can be anything, so each is replaced by a plain word.
    filled = re.sub(r"\$\{[^}]+\}", "x", url)
    (panes,) = parse_qs(urlsplit(filled).query)["panes"]
    (pane,) = json.loads(panes).values()
    (query,) = pane["queries"]
    assert query["datasource"]["type"] in STORES.values()
    assert pane["range"] == {"from": "x", "to": "x"}
    assert query.get("service") == "claude-hooks-otel" or '"claude.agent":' in query["expr"]
    assert "@" not in unquote(filled)


def test_links_of_rows_name_columns_that_the_table_has() -> None:
    for _, panel in panels():
        columns: set[str] = set()
        for each in panel.get("transformations", ()):
            columns |= set(each["options"].get("renameByName", {}).values())
        for link in links_of(panel):
            assert set(re.findall(r'__data\.fields\["([^"]+)"\]', link["url"])) <= columns
            assert panel["type"] != "table" or "__field.labels" not in link["url"]


def test_links_of_bars_name_labels_of_their_queries() -> None:
    for _, panel in panels():
        for link in links_of(panel):
            for label in re.findall(r"__field\.labels\.(\w+)", link["url"]):
                assert any(f"{{{{{label}}}}}" in target["legendFormat"] for target in panel["targets"]), panel["title"]
