"""An OTLP receiver on loopback, for gRPC and HTTP. It keeps every request, and fails in the ways that a test asks for.

It uses the generated services of opentelemetry-proto, so a test reads what really arrived.
"""

from __future__ import annotations

import gzip
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self

import grpc
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_service
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc

from tests.support.otlp_points import Point, points

Signal = Literal["metrics", "traces", "logs"]

HOST = "127.0.0.1"
_SIGNALS: dict[Signal, tuple[type, type]] = {
    "metrics": (metrics_service.ExportMetricsServiceRequest, metrics_service.ExportMetricsServiceResponse),
    "traces": (trace_service.ExportTraceServiceRequest, trace_service.ExportTraceServiceResponse),
    "logs": (logs_service.ExportLogsServiceRequest, logs_service.ExportLogsServiceResponse),
}
_REJECTED = {"metrics": "rejected_data_points", "traces": "rejected_spans", "logs": "rejected_log_records"}
_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass(frozen=True)
class Received:
    """One request. ``body`` is the message after decompression. ``accepted`` says whether the answer was a success."""

    protocol: Literal["grpc", "http"]
    signal: Signal
    headers: dict[str, str]
    message: Any
    body: bytes
    accepted: bool
    encoding: str = ""


@dataclass(frozen=True)
class Tls:
    """A server's certificate and key. With ``client_authority``, every client needs a certificate of that authority."""

    certificate: Path
    key: Path
    client_authority: Path | None = None


def self_signed_certificate(folder: Path, name: str = "server") -> Tls:
    """Make a certificate for loopback with openssl. It is its own authority."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{HOST},DNS:localhost"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(certificate, key)


@dataclass
class _Behaviour:
    """How an endpoint answers. The receiver's condition guards it."""

    mode: Literal["normal", "fail", "hang"] = "normal"
    status: Any = None
    message: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    left: int | None = None  # for how many more requests; None means all
    rejected: int = 0
    accepts: bool = False  # also a request that it never answers


class OtlpReceiver:
    """A receiver for both protocols, each on its own port. It is a context manager."""

    def __init__(self, *, tls: Tls | None = None, bearer: str | None = None) -> None:
        self.tls, self.bearer = tls, bearer
        self.requests: list[Received] = []
        self.changed = threading.Condition()
        self.http, self.grpc = HttpEndpoint(self), GrpcEndpoint(self)

    def __enter__(self) -> Self:
        self.http.come_back()
        self.grpc.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.go_away()
        self.grpc.go_away()

    @property
    def http_endpoint(self) -> str:
        """The base URL, for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        return self.http.url

    @property
    def grpc_endpoint(self) -> str:
        return self.grpc.url

    @property
    def metrics(self) -> list[Point]:
        """Return all points of accepted requests, in the order of arrival."""
        return [point for message in self.messages("metrics") for point in points(message)]

    @property
    def traces(self) -> list[Any]:
        return self.messages("traces")

    @property
    def logs(self) -> list[Any]:
        return self.messages("logs")

    @property
    def raw_bodies(self) -> list[bytes]:
        """Return the bytes of every request, accepted or not."""
        with self.changed:
            return [request.body for request in self.requests]

    def messages(self, signal: Signal) -> list[Any]:
        """Return the accepted requests of one signal, as protobuf messages."""
        with self.changed:
            return [request.message for request in self.requests if request.signal == signal and request.accepted]

    def latest_totals(self) -> dict[tuple[str, frozenset[tuple[str, Any]]], Any]:
        """Return (name, attributes) → the newest value of a cumulative series or gauge, or the sum of a delta series."""
        totals: dict[tuple[str, frozenset[tuple[str, Any]]], Any] = {}
        for point in sorted(self.metrics, key=lambda point: point.time_ns):
            if point.temporality != "delta" or point.key not in totals:
                totals[point.key] = point.value
            elif point.kind == "histogram":
                totals[point.key] = tuple(map(sum, zip(totals[point.key], point.value, strict=True)))
            else:
                totals[point.key] += point.value
        return totals

    def wait_for(self, predicate: Callable[[OtlpReceiver], Any], timeout: float = 10.0) -> Any:
        """Wait until ``predicate(self)`` is true after some request, and return its value."""
        with self.changed:
            if self.changed.wait_for(lambda: predicate(self), timeout):
                return predicate(self)
        raise TimeoutError(f"not so within {timeout} s; {len(self.requests)} requests came")

    def record(self, request: Received) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()


class _Endpoint:
    """The server of one protocol. It keeps its port while it is away."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        self.receiver = receiver
        self.port = 0
        self._behaviour = _Behaviour()
        self._released = threading.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self.receiver.tls else 'http'}://{HOST}:{self.port}"

    def answer_normally(self) -> None:
        self._behave(_Behaviour())

    def fail_with(
        self,
        status: Any,
        message: str = "",
        *,
        headers: Mapping[str, Any] | None = None,
        times: int | None = None,
        accepting: bool = False,
    ) -> None:
        """Answer with an HTTP status (int) or a ``grpc.StatusCode``, ``times`` times or until the behaviour changes.

        Over gRPC, the headers are trailing metadata. With ``accepting``, the requests count as accepted all the same.
        """
        self._behave(_Behaviour("fail", status, message, headers or {}, times, accepts=accepting))

    def hang(self, *, accepting: bool = False) -> None:
        """Take requests and never answer them. With ``accepting``, they count as accepted all the same."""
        self._behave(_Behaviour("hang", accepts=accepting))

    def reject(self, count: int, message: str) -> None:
        """Accept requests, and answer that ``count`` of their items were refused (partial success)."""
        self._behave(_Behaviour(message=message, rejected=count))

    def _behave(self, behaviour: _Behaviour) -> None:
        with self.receiver.changed:
            self._behaviour = behaviour
            self._released.set()
            self._released = threading.Event()

    def _next(self) -> tuple[_Behaviour, threading.Event]:
        """Return the behaviour towards the current request, and the event that ends a hang."""
        with self.receiver.changed:
            behaviour = self._behaviour
            if behaviour.left is not None:
                behaviour.left -= 1
                if behaviour.left < 0:
                    behaviour = self._behaviour = _Behaviour()
            return behaviour, self._released

    def _authorized(self, headers: Mapping[str, str]) -> bool:
        bearer = self.receiver.bearer
        return bearer is None or headers.get("authorization") == f"Bearer {bearer}"


def _response(signal: Signal, behaviour: _Behaviour) -> Any:
    response = _SIGNALS[signal][1]()
    if behaviour.message:
        setattr(response.partial_success, _REJECTED[signal], behaviour.rejected)
        response.partial_success.error_message = behaviour.message
    return response


class GrpcEndpoint(_Endpoint):
    """OTLP over gRPC."""

    _server: grpc.Server | None = None

    def come_back(self) -> None:
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        metrics_grpc.add_MetricsServiceServicer_to_server(_Servicer(self, "metrics"), server)
        trace_grpc.add_TraceServiceServicer_to_server(_Servicer(self, "traces"), server)
        logs_grpc.add_LogsServiceServicer_to_server(_Servicer(self, "logs"), server)
        address, tls = f"{HOST}:{self.port}", self.receiver.tls
        self.port = (
            server.add_secure_port(address, _grpc_credentials(tls)) if tls else server.add_insecure_port(address)
        )
        server.start()
        self._server = server

    def go_away(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            stopped = server.stop(grace=None)
            self._behave(self._behaviour)  # ends handlers that hang
            stopped.wait()

    def handle(self, signal: Signal, message: Any, context: grpc.ServicerContext) -> Any:
        headers = dict(context.invocation_metadata())
        behaviour, released = self._next()
        authorized = self._authorized(headers)
        accepted = (behaviour.mode == "normal" or behaviour.accepts) and authorized
        self.receiver.record(Received("grpc", signal, headers, message, message.SerializeToString(), accepted))
        if not authorized:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "missing or wrong bearer token")
        if behaviour.mode == "hang":
            while context.is_active() and not released.wait(0.02):
                pass  # until the client gives up
            context.abort(grpc.StatusCode.CANCELLED, "gone")
        if behaviour.mode == "fail":
            context.set_trailing_metadata(tuple(behaviour.headers.items()))
            context.abort(behaviour.status, behaviour.message)
        return _response(signal, behaviour)


class _Servicer:
    """All three services look the same."""

    def __init__(self, endpoint: GrpcEndpoint, signal: Signal) -> None:
        self._endpoint, self._signal = endpoint, signal

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._endpoint.handle(self._signal, request, context)


def _grpc_credentials(tls: Tls) -> grpc.ServerCredentials:
    authority = tls.client_authority.read_bytes() if tls.client_authority else None
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


class HttpEndpoint(_Endpoint):
    """OTLP over HTTP, protobuf bodies."""

    _server: _HttpServer | None = None

    def come_back(self) -> None:
        self._server = _HttpServer((HOST, self.port), _HttpHandler)
        self._server.endpoint = self
        self.port = self._server.server_address[1]
        if tls := self.receiver.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            if tls.client_authority:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(tls.client_authority)
            # The thread of the connection does the handshake, so a client that stalls in it does not stop the others.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def go_away(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self._behave(self._behaviour)  # ends handlers that hang
            server.close_connections()
            server.server_close()
            self._thread.join()

    def handle(self, handler: _HttpHandler) -> tuple[int, bytes, Mapping[str, str]] | None:
        """Return the status, body and headers of the answer to a request. None means no answer."""
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        signal = handler.path.partition("?")[0].rpartition("/")[2]
        if signal not in _SIGNALS or "/v1/" not in handler.path:
            return 404, b"no such path", {"content-type": "text/plain"}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        encoding = headers.get("content-encoding", "")
        message = _SIGNALS[signal][0].FromString(_DECOMPRESS[encoding](body))
        behaviour, released = self._next()
        authorized = self._authorized(headers)
        accepted = (behaviour.mode == "normal" or behaviour.accepts) and authorized
        request = Received("http", signal, headers, message, message.SerializeToString(), accepted, encoding)
        self.receiver.record(request)
        if behaviour.mode == "hang":
            released.wait()
            return None
        if behaviour.mode == "fail" or not authorized:
            status = behaviour.status if authorized else 401
            text = behaviour.message if authorized else "missing or wrong bearer token"
            return status, Status(message=text).SerializeToString(), behaviour.headers
        return 200, _response(signal, behaviour).SerializeToString(), {}


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them all
    endpoint: HttpEndpoint

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open, so that they notice that the server is away."""
        for connection in list(self._connections):
            try:
                connection.shutdown(2)
            except OSError:
                continue  # already gone

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up or refuse the certificate, because some tests cause that."""


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, as any real receiver does
    disable_nagle_algorithm = True  # otherwise each answer waits 40 ms for the client's delayed acknowledgement
    server: _HttpServer

    def do_POST(self) -> None:
        answer = self.server.endpoint.handle(self)
        if answer is None:
            self.close_connection = True
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in ({"content-type": "application/x-protobuf"} | dict(headers)).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
