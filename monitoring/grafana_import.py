"""Import the dashboards into a Grafana that is already running, through its HTTP API.

``GRAFANA_TOKEN=... python -m monitoring.grafana_import --url https://grafana.example.com --prometheus http://prometheus:9090``

A second run updates the dashboards. The import makes the data source only if none has the uid that the dashboards name; an existing
one stays as it is. ``--backup FOLDER`` saves the dashboards before they are replaced.
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


def import_into(grafana: GrafanaApi, prometheus: str | None, backup: Path | None = None) -> list[str]:
    """Make the data source and the folder if they are missing, and import the dashboards. Return a line for each step.

    Raises:
        GrafanaException: Grafana refuses a request.
        LookupError: The data source is missing, and ``prometheus`` gives no address for one.
    """
    done = []
    if _found(grafana.datasource.get_datasource_by_uid, DATASOURCE.uid) is None:
        if prometheus is None:
            raise LookupError(f"no data source has the uid {DATASOURCE.uid}: add --prometheus URL to make one")
        source = {
            "name": "Claude Code",
            "uid": DATASOURCE.uid,
            "type": "prometheus",
            "access": "proxy",
            "url": prometheus,
        }
        grafana.datasource.create_datasource(source | {"jsonData": {"httpMethod": "POST", "timeInterval": "15s"}})
        done.append(f"made data source {DATASOURCE.uid}")
    if _found(grafana.folder.get_folder, FOLDER_UID) is None:
        grafana.folder.create_folder(FOLDER_TITLE, uid=FOLDER_UID)
        done.append(f"made folder {FOLDER_TITLE}")
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
        done = import_into(GrafanaApi.from_url(chosen.url, token, TIMEOUT_S), chosen.prometheus, chosen.backup)
    except (GrafanaException, LookupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
