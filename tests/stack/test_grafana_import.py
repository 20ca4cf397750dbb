"""The import, tested with a small fake of Grafana's HTTP API, because Grafana itself is not installed where these tests run.

The fake answers the requests that the import makes, as Grafana's API reference describes them, and refuses every other one.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from claude_hooks_otel.cli.app import make_app
from monitoring.generate import SETUP
from tests.support.places import ROOT

TOKEN = "a-token"
BOARDS = {"claude-executive", "claude-agents", "claude-technical", "claude-quality"}


class FakeGrafana(ThreadingHTTPServer):
    """A fake that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.sources: dict[str, Any] = {}
        self.folders: dict[str, Any] = {}
        self.boards: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Requests(BaseHTTPRequestHandler):
    server: FakeGrafana

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"message": "Unauthorized"})
            return
        kept = {
            "datasources/uid": self.server.sources,
            "folders": self.server.folders,
            "dashboards/uid": self.server.boards,
        }
        if self.command == "GET" and (
            match := re.fullmatch(r"/api/(datasources/uid|folders|dashboards/uid)/([\w-]+)", self.path)
        ):
            found = kept[match[1]].get(match[2])
            self.answer(200, found) if found else self.answer(404, {"message": "not found"})
        elif (self.command, self.path) == ("GET", "/api/datasources"):
            self.answer(200, list(self.server.sources.values()))
        elif (self.command, self.path) == ("POST", "/api/datasources"):
            self.server.sources[body["uid"]] = body
            self.answer(200, {"datasource": body})
        elif (self.command, self.path) == ("POST", "/api/folders"):
            self.server.folders[body["uid"]] = body
            self.answer(200, body)
        elif (self.command, self.path) == ("POST", "/api/dashboards/db"):
            board = body["dashboard"]
            if board.get("id") is not None or (board["uid"] in self.server.boards and not body["overwrite"]):
                self.answer(412, {"message": "version-mismatch"})
                return
            folder = body.get("folderUid")
            assert folder is None or folder in self.server.folders
            self.server.boards[board["uid"]] = {"dashboard": board, "meta": {"folderUid": folder}}
            self.answer(200, {"status": "success", "uid": board["uid"]})
        else:
            self.answer(400, {"message": f"{self.command} {self.path} is unknown to the fake"})

    do_GET = do_POST = do_PUT = handle_request  # noqa: N815 -- names of the standard library


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGrafana]:
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    with FakeGrafana() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(make_app(), ["stack", "import", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_import_makes_source_folder_and_dashboards_and_a_second_one_updates_the_dashboards(
    grafana: FakeGrafana, tmp_path: Path
) -> None:
    arguments = ["--url", grafana.url, "--prometheus", "http://prometheus:9090", "--backup", str(tmp_path / "old")]
    run(*arguments)
    assert grafana.sources["claude-prometheus"]["url"] == "http://prometheus:9090"
    assert set(grafana.boards) == BOARDS
    assert not (tmp_path / "old").exists()
    grafana.sources["claude-prometheus"]["url"] = "http://changed-by-its-owner"
    run(*arguments)
    assert grafana.sources["claude-prometheus"]["url"] == "http://changed-by-its-owner"
    assert {path.stem for path in (tmp_path / "old").iterdir()} == BOARDS
    shipped = json.loads((SETUP / "grafana-dashboards" / "claude-agents.json").read_text())
    assert grafana.boards["claude-agents"]["dashboard"]["panels"] == shipped["panels"]


def source_of(board: dict[str, Any]) -> str:
    (variable,) = [variable for variable in board["templating"]["list"] if variable["query"] == "prometheus"]
    return variable["current"]["value"]


def test_imported_dashboards_show_the_chosen_data_source(grafana: FakeGrafana) -> None:
    grafana.sources["one"] = {"uid": "one", "name": "Metrics", "type": "prometheus", "isDefault": False}
    grafana.sources["logs"] = {"uid": "logs", "name": "Logs", "type": "loki", "isDefault": True}
    run("--url", grafana.url)  # the only Prometheus
    assert {source_of(board["dashboard"]) for board in grafana.boards.values()} == {"one"}
    grafana.sources["two"] = {"uid": "two", "name": "Long term", "type": "prometheus", "isDefault": False}
    assert "--datasource: Metrics, Long term" in run("--url", grafana.url, code=1)
    run("--url", grafana.url, "--datasource", "Logs", code=1)
    run("--url", grafana.url, "--datasource", "Long term")
    assert {source_of(board["dashboard"]) for board in grafana.boards.values()} == {"two"}
    assert not [key for board in grafana.boards.values() for key in board["dashboard"] if key.startswith("__")]
    grafana.sources["two"]["isDefault"] = True
    run("--url", grafana.url)
    assert {source_of(board["dashboard"]) for board in grafana.boards.values()} == {"two"}


def test_every_panel_and_variable_asks_the_data_source_that_upload_json_asks_for() -> None:
    for path in (SETUP / "grafana-dashboards").glob("*.json"):
        board = json.loads(path.read_text(encoding="utf-8"))
        (asked,) = board["__inputs"]
        assert (asked["type"], asked["pluginId"]) == ("datasource", "prometheus")
        assert source_of(board) == f"${{{asked['name']}}}"
        users = [
            *(variable for variable in board["templating"]["list"] if variable["type"] == "query"),
            *(panel for panel in board["panels"] if panel["type"] != "row"),
            *(target for panel in board["panels"] for target in panel.get("targets", ())),
        ]
        assert {(user["datasource"]["type"], user["datasource"]["uid"]) for user in users} == {
            ("prometheus", "${datasource}")
        }


def test_without_a_data_source_the_import_needs_an_address(grafana: FakeGrafana) -> None:
    assert "--prometheus" in run("--url", grafana.url, code=1)
    assert grafana.boards == {}


def test_a_refused_or_missing_token_is_an_error(grafana: FakeGrafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_TOKEN", "another")
    assert "Unauthorized" in run("--url", grafana.url, code=1)
    monkeypatch.delenv("GRAFANA_TOKEN")
    assert "GRAFANA_TOKEN" in run("--url", grafana.url, code=1)


def test_an_address_without_grafana_is_an_error(grafana: FakeGrafana) -> None:
    grafana.server_close()
    assert "cannot be asked" in run("--url", grafana.url, code=1)


def test_the_loop_of_the_documentation_imports_the_exported_dashboards(grafana: FakeGrafana, tmp_path: Path) -> None:
    """It needs only a shell and curl."""
    assert CliRunner().invoke(make_app(), ["stack", "export", str(tmp_path)]).exit_code == 0
    page = (ROOT / "docs" / "from-the-setup-guide.md").read_text(encoding="utf-8")
    [loop] = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "api/dashboards/db" in block]
    assert "admin:" in loop
    loop = loop.replace("http://localhost:3000", grafana.url)
    loop = re.sub(r'-u "[^"]+"', f'-H "Authorization: Bearer {TOKEN}"', loop)
    environ = {"PATH": "/usr/bin:/bin", "GRAFANA_ADMIN_PASSWORD": "x"}
    done = subprocess.run(["sh", "-ec", loop], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(grafana.boards) == BOARDS
