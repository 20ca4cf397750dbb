"""Imports the dashboards into a Grafana that is already running, through its HTTP API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import requests

SOURCE_UID: Final = "claude-prometheus"
FOLDER_UID, FOLDER_TITLE = "claude-code", "Claude Code"
# Seconds that a request may take.
TIMEOUT: Final = 15.0


class GrafanaError(Exception):
    """Grafana did not do what was asked. The message says why, and what to do."""


class Grafana:
    """The API of one Grafana.

    Args:
        url: its address.
        token: the token of a service account.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:
        """Return what is at a path of the API; None if nothing is.

        Raises:
            GrafanaError: Grafana does not answer, or refuses.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, content: Any) -> None:
        """Send content to a path of the API.

        Raises:
            GrafanaError: Grafana does not answer, or refuses.
        """
        if self._ask("POST", path, content) is None:
            raise GrafanaError(f"{self._url} has no {path}. Is it the address of a Grafana?")

    def _ask(self, method: str, path: str, content: Any) -> Any:
        try:
            answer = self._session.request(method, f"{self._url}/api/{path}", json=content, timeout=TIMEOUT)
            if answer.status_code == requests.codes.not_found:
                return None
            if answer.ok:
                return answer.json()
        except requests.RequestException as error:
            raise GrafanaError(f"{self._url} cannot be asked: {error}") from None
        hint = " Check GRAFANA_TOKEN." if answer.status_code in {401, 403} else ""
        raise GrafanaError(f"{self._url} refuses {method} {path}: HTTP {answer.status_code} {answer.text[:200]}{hint}")


def import_dashboards(
    grafana: Grafana, boards: Sequence[Path], prometheus: str | None, backup: Path | None, datasource: str | None = None
) -> Iterator[str]:
    """Choose or make the data source, make the folder if it is missing, and import the dashboards. Yield a line for each step.

    An existing data source stays as it is, and existing dashboards are replaced.

    Args:
        grafana: where to.
        boards: the files of the dashboards.
        prometheus: the address of Prometheus, for a missing data source.
        backup: the folder for the dashboards that are replaced; None keeps none.
        datasource: the name or uid of the data source that the dashboards show; None for the one that an earlier import made, Grafana's
            default Prometheus, or the only one.

    Raises:
        GrafanaError: Grafana refuses a request, or there is no data source to show.
        OSError: the backup cannot be written.
    """
    source = _source(grafana, datasource)
    if source is None:
        if prometheus is None:
            raise GrafanaError("Grafana has no Prometheus data source. Add --prometheus URL to make one.")
        source = {"name": "Claude Code", "uid": SOURCE_UID, "type": "prometheus", "access": "proxy", "url": prometheus}
        grafana.post("datasources", source | {"jsonData": {"httpMethod": "POST", "timeInterval": "15s"}})
        yield f"Made the data source {SOURCE_UID}"
    if grafana.get(f"folders/{FOLDER_UID}") is None:
        grafana.post("folders", {"uid": FOLDER_UID, "title": FOLDER_TITLE})
        yield f"Made the folder {FOLDER_TITLE}"
    for path in boards:
        board = _filled(json.loads(path.read_text(encoding="utf-8")), source)
        if backup is not None and (old := grafana.get(f"dashboards/uid/{board['uid']}")):
            backup.mkdir(parents=True, exist_ok=True)
            (backup / f"{board['uid']}.json").write_text(json.dumps(old["dashboard"], indent=2), encoding="utf-8")
        order = {"dashboard": board | {"id": None}, "folderUid": FOLDER_UID, "overwrite": True}
        grafana.post("dashboards/db", order | {"message": "claude-hooks-otel"})
        yield f"Imported the dashboard {board['uid']}"


def _source(grafana: Grafana, wanted: str | None) -> dict[str, Any] | None:
    """Return the data source that the dashboards show at first; None if there is none."""
    sources = [source for source in grafana.get("datasources") or () if source.get("type") == "prometheus"]
    if wanted is not None:
        chosen = [source for source in sources if wanted in (source["uid"], source["name"])]
        if not chosen:
            raise GrafanaError(f"Grafana has no Prometheus data source {wanted!r}.")
        return dict(chosen[0])
    ours = [source for source in sources if source["uid"] == SOURCE_UID]
    default = [source for source in sources if source.get("isDefault")]
    for found in (ours, default, sources if len(sources) == 1 else []):
        if found:
            return dict(found[0])
    if sources:
        names = ", ".join(source["name"] for source in sources)
        raise GrafanaError(f"Grafana has several Prometheus data sources. Choose one with --datasource: {names}.")
    return None


def _filled(board: dict[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dashboard without the questions of Upload JSON: its data source is ``source``."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "datasource" and variable["query"] == "prometheus":
            variable["current"] = {"selected": True, "text": source["name"], "value": source["uid"]}
    return {key: value for key, value in board.items() if not key.startswith("__")}
