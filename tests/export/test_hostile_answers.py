"""Answers of broken servers take little memory and time, and leave no thread behind. tests/daemon/test_hostile.py has all kinds of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.diagnosis import prometheus
from claude_hooks_otel.diagnosis.finding import Level, Surroundings
from claude_hooks_otel.export import http_answers
from claude_hooks_otel.export.exporters import ItemExporter, build_item_exporters
from claude_hooks_otel.export.outcome import Outcome
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import OtelSettings, Signal
from tests.support.hostile_server import GRPC, HTTP, OK_HTTP, HostileServer, answer
from tests.support.waiting_threads import wait_for_the_end_of

HTTP_PROTOCOL = "http/protobuf"


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(OK_HTTP) as running:
        yield running


@pytest.fixture
def send(server: HostileServer) -> Iterator[Callable[..., Outcome]]:
    """Return a function that sends an empty batch to the server, within a timeout in milliseconds."""
    made: list[ItemExporter] = []

    def probe(protocol: str, timeout: int = 300) -> Outcome:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_TIMEOUT": str(timeout),
        }
        made.extend(build_item_exporters(OtelSettings.from_variables(variables), Signal.TRACES))
        return made[-1].probe()

    yield probe
    for exporter in made:
        exporter.shutdown()


@pytest.mark.parametrize(
    "kind", ["no answer", "dripping status line", "dripping headers", "flood of 100 Continue", "endless header line"]
)
def test_a_request_without_a_complete_answer_ends_with_its_thread(
    server: HostileServer, send: Callable[..., Outcome], kind: str
) -> None:
    server.behave(HTTP[kind])
    assert not send(HTTP_PROTOCOL).ok
    wait_for_the_end_of("otlp-request")


def test_the_status_counts_without_waiting_for_a_body_that_drips(
    server: HostileServer, send: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accepted batch must not be sent again, whatever follows its status."""
    monkeypatch.setattr(http_answers, "BODY_TIMEOUT", 0.1)
    server.behave(HTTP["dripping body with 200"])
    assert send(HTTP_PROTOCOL, timeout=60_000).ok
    wait_for_the_end_of("otlp-request")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_reason_is_read(server: HostileServer, send: Callable[..., Outcome], encoding: str) -> None:
    compressed = {"gzip": http_answers.zlib.compressobj(wbits=31), "deflate": http_answers.zlib.compressobj()}[encoding]
    body = compressed.compress(b"the tenant is unknown") + compressed.flush()
    server.behave(lambda connection: connection.sendall(answer("401 No", body, f"content-encoding: {encoding}")))
    assert send(HTTP_PROTOCOL).error == "HTTP 401 No: the tenant is unknown"


def test_a_connection_is_used_again_after_an_ordinary_answer(
    server: HostileServer, send: Callable[..., Outcome]
) -> None:
    answered: list[object] = []
    server.behave(lambda connection: (answered.append(connection), OK_HTTP(connection))[1])
    [exporter] = build_item_exporters(
        OtelSettings.from_variables(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_PROTOCOL": HTTP_PROTOCOL}
        ),
        Signal.TRACES,
    )
    assert exporter.probe().ok
    assert exporter.probe().ok
    assert len(answered) == 2
    assert answered[0] is answered[1]
    exporter.shutdown()


def test_requests_through_a_proxy_work_again_after_one_was_ended(
    server: HostileServer, send: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections of a proxy are forgotten, too."""
    monkeypatch.setenv("http_proxy", server.url)
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.test:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": HTTP_PROTOCOL,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "300",
    }
    [exporter] = build_item_exporters(OtelSettings.from_variables(variables), Signal.TRACES)
    assert exporter.probe().ok
    server.behave(HTTP["no answer"])
    assert not exporter.probe().ok
    server.behave(OK_HTTP)
    assert exporter.probe().ok
    exporter.shutdown()


def test_an_answer_over_grpc_that_is_too_long_means_that_the_batch_was_accepted(
    server: HostileServer, send: Callable[..., Outcome]
) -> None:
    """Otherwise it would be sent again for good, or be divided as if it were too large itself."""
    server.behave(GRPC["answer of 50 MB"])
    outcome = send("grpc", timeout=60_000)
    assert outcome.ok
    assert "the answer is too long" in (outcome.error or "")


@pytest.mark.parametrize(
    "kind",
    [
        "dripping headers",
        "dripping body with 200",
        "redirect to a file",
        "page of HTML with 200",
    ],
)
def test_doctor_ends_with_any_answer_in_place_of_prometheus(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(http_answers, "BODY_TIMEOUT", 0.1)
    monkeypatch.setattr(prometheus, "TIMEOUT_S", 0.3)
    home = Home.from_environment({"HOME": str(tmp_path)})
    home.create()
    with closing(open_store(home.store, lambda: 1)):
        server.behave(HTTP[kind])
        surroundings = Surroundings({"HOME": str(tmp_path), "PATH": ""}, tmp_path, (), server.url)
        [finding] = prometheus.prometheus(surroundings)
    assert finding.level is Level.FAIL
    assert finding.observed.startswith(server.url)
