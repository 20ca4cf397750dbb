"""Import the dashboards into a Grafana that is already running, through its HTTP API.

``GRAFANA_TOKEN=... python -m monitoring.grafana_import --url https://grafana.example.com --prometheus http://prometheus:9090``

A second run updates the dashboards. They show the data source of ``--datasource``, else the one that an earlier import made, else one
for ``--prometheus``, which the import makes, else Grafana's default Prometheus. An existing data source stays as it is.
``--backup FOLDER`` saves the dashboards before they are replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException

from monitoring.generate import SETUP

# The data source that the import makes.
SOURCE_UID = "claude-prometheus"
FOLDER_UID, FOLDER_TITLE = "claude-code", "Claude Code"
# How long a request may take, in seconds.
TIMEOUT_S = 15.0


def _found(ask: Any, *arguments: Any) -> Any:
    """Return Grafana's answer, or None for 404."""
    try:
        return ask(*arguments)
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise


def _filled(board: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard without the questions of Upload JSON: its data source is ``source``."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "datasource":
            variable["current"] = {"selected": True, "text": source["name"], "value": source["uid"]}
    return {key: value for key, value in board.items() if not key.startswith("__")}


def _choose(grafana: GrafanaApi, wanted: str | None, prometheus: str | None, done: list[str]) -> dict[str, Any]:
    """Return the data source that the dashboards show at first. Make one if there is none and ``prometheus`` has an address."""
    sources = [source for source in grafana.datasource.list_datasources() if source["type"] == "prometheus"]
    if wanted is not None:
        chosen = [source for source in sources if wanted in (source["uid"], source["name"])]
        if not chosen:
            raise LookupError(f"Grafana has no Prometheus data source {wanted!r}")
        return dict(chosen[0])
    ours = [source for source in sources if source["uid"] == SOURCE_UID]
    if not ours and prometheus is not None:
        source = {"name": "Claude Code", "uid": SOURCE_UID, "type": "prometheus", "access": "proxy", "url": prometheus}
        grafana.datasource.create_datasource(source | {"jsonData": {"httpMethod": "POST", "timeInterval": "15s"}})
        done.append(f"made data source {SOURCE_UID}")
        return source
    for found in (
        ours,
        [source for source in sources if source.get("isDefault")],
        sources if len(sources) == 1 else [],
    ):
        if found:
            return dict(found[0])
    if sources:
        names = ", ".join(source["name"] for source in sources)
        raise LookupError(f"Grafana has several Prometheus data sources: choose with --datasource ({names})")
    raise LookupError("Grafana has no Prometheus data source: add --prometheus URL to make one")


def import_into(
    grafana: GrafanaApi, prometheus: str | None, backup: Path | None = None, datasource: str | None = None
) -> list[str]:
    """Choose or make the data source, make the folder if it is missing, and import the dashboards. Return a line for each step.

    Raises:
        GrafanaException: Grafana refuses a request.
        LookupError: There is no data source to show.
    """
    done: list[str] = []
    source = _choose(grafana, datasource, prometheus, done)
    if _found(grafana.folder.get_folder, FOLDER_UID) is None:
        grafana.folder.create_folder(FOLDER_TITLE, uid=FOLDER_UID)
        done.append(f"made folder {FOLDER_TITLE}")
    for path in sorted((SETUP / "grafana-dashboards").glob("*.json")):
        board = _filled(json.loads(path.read_text(encoding="utf-8")), source)
        if backup is not None and (old := _found(grafana.dashboard.get_dashboard, board["uid"])):
            backup.mkdir(parents=True, exist_ok=True)
            (backup / f"{board['uid']}.json").write_text(json.dumps(old["dashboard"], indent=2), encoding="utf-8")
        order = {
            "dashboard": board | {"id": None},
            "folderUid": FOLDER_UID,
            "overwrite": True,
            "message": "claude-hooks-otel",
        }
        grafana.dashboard.update_dashboard(order)
        done.append(f"imported dashboard {board['uid']}")
    return done


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.grafana_import",
        description="Import the Claude Code dashboards into Grafana. GRAFANA_TOKEN holds the token of a service account.",
    )
    parser.add_argument("--url", default="http://localhost:3000", help="the address of Grafana")
    parser.add_argument("--prometheus", help="the address of Prometheus, to make the data source if it is missing")
    parser.add_argument("--datasource", help="the name or uid of the Prometheus data source that the dashboards show")
    parser.add_argument("--backup", type=Path, help="save the replaced dashboards in this folder")
    chosen = parser.parse_args(arguments)
    token = os.environ.get("GRAFANA_TOKEN")
    if not token:
        print(
            "Set GRAFANA_TOKEN to the token of a service account (role Editor, or Admin to make the data source).",
            file=sys.stderr,
        )
        return 2
    try:
        done = import_into(
            GrafanaApi.from_url(chosen.url, token, TIMEOUT_S), chosen.prometheus, chosen.backup, chosen.datasource
        )
    except (GrafanaException, LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
