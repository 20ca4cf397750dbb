"""Puts the dashboards into a Grafana that is already there, through its HTTP API.

``GRAFANA_TOKEN=... python -m monitoring.grafana_import --url https://grafana.example.com --prometheus http://prometheus:9090``

Running it again updates what is there. The data source is made where none has the uid that the dashboards name; one that has it
stays as it is. ``--backup FOLDER`` first writes down the
dashboards that it replaces.
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

from monitoring.dashboards.panels import DATASOURCE
from monitoring.generate import SETUP

FOLDER_UID, FOLDER_TITLE = "claude-code", "Claude Code"
# Seconds an answer of Grafana may take.
TIMEOUT_S = 15.0


def _found(ask: Any, *arguments: Any) -> Any:
    """An answer, or None where Grafana says that there is no such thing."""
    try:
        return ask(*arguments)
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise


def import_into(grafana: GrafanaApi, prometheus: str | None, backup: Path | None = None) -> list[str]:
    """Brings data source, folder and dashboards; returns what it did, a line each.

    Raises:
        GrafanaException: Grafana refused.
        LookupError: there is no data source, and no address for one was given.
    """
    done = []
    if _found(grafana.datasource.get_datasource_by_uid, DATASOURCE.uid) is None:
        if prometheus is None:
            raise LookupError(f"no data source has the uid {DATASOURCE.uid}: give --prometheus URL, and it is made")
        source = {
            "name": "Claude Code",
            "uid": DATASOURCE.uid,
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus,
        }
        grafana.datasource.create_datasource(source | {"jsonData": {"httpMethod": "POST", "timeInterval": "15s"}})
        done.append(f"data source {DATASOURCE.uid} made")
    if _found(grafana.folder.get_folder, FOLDER_UID) is None:
        grafana.folder.create_folder(FOLDER_TITLE, uid=FOLDER_UID)
        done.append(f"folder {FOLDER_TITLE} made")
    for path in sorted((SETUP / "grafana-dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
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
        done.append(f"dashboard {board['uid']} brought")
    return done


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Import the Claude Code dashboards into a Grafana.")
    parser.add_argument("--url", default="http://localhost:3000", help="where Grafana is")
    parser.add_argument("--prometheus", help="make a data source for this Prometheus, where there is none")
    parser.add_argument("--backup", type=Path, help="write the dashboards that are replaced into this folder")
    chosen = parser.parse_args(arguments)
    token = os.environ.get("GRAFANA_TOKEN")
    if not token:
        print(
            "Set GRAFANA_TOKEN to a service account's token (role Editor; Admin to make the data source).",
            file=sys.stderr,
        )
        return 2
    try:
        done = import_into(GrafanaApi.from_url(chosen.url, token, TIMEOUT_S), chosen.prometheus, chosen.backup)
    except (GrafanaException, LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
