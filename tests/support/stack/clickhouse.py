"""Run the server of clickhouse_server.py, and ask it."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from monitoring.generate import SETUP
from monitoring.rig import local
from monitoring.rig.stack import Server

VERSION = "26.9.0"
PYTHON = Path(__file__).resolve().parents[3] / ".cache" / "chdb" / "bin" / "python"
QUERIES = SETUP / "analytics"


def unavailable() -> str:
    """Return why the engine cannot run here, or an empty text."""
    if PYTHON.exists():
        return ""
    return f"chdb is not installed: python3 -m venv .cache/chdb && .cache/chdb/bin/pip install --no-deps chdb-core=={VERSION}"


class ClickHouse:
    """A server with ClickHouse's engine.

    Args:
        folder: The folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        port = local.Ports.free().prometheus
        self.url = f"http://{local.LOOPBACK}:{port}"
        program = Path(__file__).with_name("clickhouse_server.py")
        arguments = [str(PYTHON), str(program), str(port), str(folder / "clickhouse")]
        self.server = Server(arguments, f"{self.url}/ping", folder / "clickhouse.log")

    def ask(self, query: str, **parameters: str) -> list[dict[str, Any]]:
        """Return the rows of an answer.

        Raises:
            ValueError: The engine refuses the query; the error has its message.
        """
        given = urllib.parse.urlencode({f"param_{name}": value for name, value in parameters.items()})
        try:
            with urllib.request.urlopen(f"{self.url}/?{given}", query.encode(), timeout=60) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from None
        return json.loads(body)["data"] if body else []

    def ask_shipped(self, name: str, **parameters: str) -> list[dict[str, Any]]:
        """Return the answer to a shipped query."""
        text = (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
        return self.ask(text.rstrip().removesuffix(";"), **parameters)

    def make_schema(self) -> None:
        """Run the shipped schema, statement by statement."""
        for statement in (QUERIES / "schema.sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                self.ask(statement)
