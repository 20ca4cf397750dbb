"""Fixtures that several test modules share."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from claude_hooks_otel.store.store import Store
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.known_differences import LEFT_OUT
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.replay import Replay, play

_databases = itertools.count()

# Hypothesis limits the time of an example and of its generation by default. No result may depend on the speed of the machine.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


def pytest_configure() -> None:
    """Remove ``claude-hooks-otel`` from PATH. Otherwise, in an activated environment, the hooks of the tests would start daemons."""
    folders = os.environ["PATH"].split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(path for path in folders if not Path(path, "claude-hooks-otel").exists())


@pytest.fixture(scope="session", params=SCENARIOS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Each recorded scenario, played to its end. Tests share it, because they only read it."""
    replay = play(Scenario(request.param), tmp_path_factory.mktemp(request.param), leave_out=LEFT_OUT)
    yield replay
    replay.core.store.close()


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP receiver on loopback, gRPC and HTTP without TLS."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Any]:
    """A running PostgreSQL server. Without an installed one, the test is skipped."""
    from tests.support.postgresql_server import missing, server

    if reason := missing():
        pytest.skip(reason)
    with server() as running:
        yield running


@pytest.fixture
def database(postgresql_server: Any) -> str:
    """The connection string of a new database of that server."""
    name = f"test_{next(_databases)}"
    with postgresql_server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgresql_server.conninfo.replace("dbname=postgres", f"dbname={name}")


@pytest.fixture(autouse=True)
def _close_stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close every store that the test opened: Python 3.13 warns about a connection that is left open."""
    opened: list[Store] = []
    open_store = Store.__init__

    def opening(store: Store, *arguments: Any) -> None:
        open_store(store, *arguments)
        opened.append(store)

    monkeypatch.setattr(Store, "__init__", opening)
    yield
    for store in opened:
        store.close()
