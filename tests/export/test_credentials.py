"""Headers that expire: real helpers, files and keyrings, and a real receiver whose tokens expire. Over both protocols, for all signals."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.export.exporters import Exporter, ItemExporter, build_item_exporters, build_metric_exporters
from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.settings import Config, CredentialError, Credentials, OtelSettings, Redactor, Signal, load
from claude_hooks_otel.settings.credential_sources import CredentialsConfig
from claude_hooks_otel.settings.credentials import LONGEST_OUTPUT
from claude_hooks_otel.settings.errors import ConfigError
from tests.support.otlp_receiver import OtlpReceiver

FIRST, SECOND = "tok-first-3cr3t", "tok-second-3cr3t"
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
SIGNALS = pytest.mark.parametrize("signal", list(Signal))


@dataclass
class Helper:
    """A helper on disk. It prints what a file says, and notes each run."""

    folder: Path
    runs_file: Path = field(init=False)

    def __post_init__(self) -> None:
        self.runs_file = self.folder / "runs"
        self.script("cat output")

    @property
    def command(self) -> str:
        return str(self.folder / "helper")

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text().splitlines()) if self.runs_file.exists() else 0

    def script(self, lines: str) -> None:
        path = self.folder / "helper"
        path.write_text(f"#!/bin/sh\ncd {self.folder} || exit 1\necho run >> runs\n{lines}\n")
        path.chmod(0o700)

    def prints(self, value: Any) -> None:
        (self.folder / "output").write_text(value if isinstance(value, str) else json.dumps(value))

    def gives(self, token: str, **more: Any) -> None:
        self.prints({"Authorization": f"Bearer {token}"} | more)


@pytest.fixture
def helper(tmp_path: Path) -> Helper:
    made = Helper(tmp_path)
    made.gives(FIRST)
    return made


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver(bearer=FIRST) as running:
        yield running


def settings(receiver: OtlpReceiver, protocol: str, **credentials: Any) -> OtelSettings:
    url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    otel |= {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=shop"}
    return OtelSettings.from_config(Config(otel=otel, credentials=CredentialsConfig(**credentials)), {})


def exporter(otel: OtelSettings, signal: Signal) -> Exporter:
    made: list[Any]
    made = build_metric_exporters(otel) if signal is Signal.METRICS else build_item_exporters(otel, signal)  # type: ignore[assignment]
    return made[0]  # type: ignore[no-any-return]


def sent(otel: OtelSettings, signal: Signal) -> Outcome:
    one = exporter(otel, signal)
    try:
        return one.export([], Resource({})) if isinstance(one, ItemExporter) else one.probe()
    finally:
        one.shutdown()


# -- a helper ------------------------------------------------------------------------------------------------------------------


@PROTOCOLS
@SIGNALS
def test_requests_carry_the_headers_of_the_helper_and_the_static_ones(
    helper: Helper, receiver: OtlpReceiver, protocol: str, signal: Signal
) -> None:
    assert sent(settings(receiver, protocol, headers_helper=helper.command), signal).ok
    [request] = receiver.requests
    assert (request.signal, request.headers["authorization"]) == (str(signal), f"Bearer {FIRST}")
    assert {name.lower(): value for name, value in request.headers.items()}["x-tenant"] == "shop"


@PROTOCOLS
@SIGNALS
def test_a_token_that_expires_is_replaced_and_the_same_request_is_sent_again(
    helper: Helper, receiver: OtlpReceiver, protocol: str, signal: Signal
) -> None:
    otel = settings(receiver, protocol, headers_helper=helper.command)
    assert sent(otel, signal).ok
    receiver.bearer = SECOND
    helper.gives(SECOND)
    assert sent(otel, signal).ok
    assert [request.accepted for request in receiver.requests] == [True, False, True]
    assert helper.runs == 2


@PROTOCOLS
def test_one_run_serves_all_signals_until_the_interval_is_over(
    helper: Helper, receiver: OtlpReceiver, protocol: str
) -> None:
    otel = settings(receiver, protocol, headers_helper=helper.command)
    assert all(sent(otel, signal).ok for signal in (*Signal, *Signal))
    assert helper.runs == 1


@PROTOCOLS
def test_a_token_that_is_refused_twice_is_reported_and_not_shown(
    helper: Helper, receiver: OtlpReceiver, protocol: str
) -> None:
    receiver.bearer = SECOND
    outcome = sent(settings(receiver, protocol, headers_helper=helper.command), Signal.METRICS)
    assert (outcome.status, outcome.is_unauthenticated) == (Status.UNAVAILABLE, True)
    assert FIRST not in str(outcome.error)
    assert (len(receiver.requests), helper.runs) == (1, 2)


def test_an_answer_that_repeats_a_token_is_masked(helper: Helper, receiver: OtlpReceiver) -> None:
    receiver.http.fail_with(400, f"bad token {FIRST}")
    outcome = sent(settings(receiver, "http/protobuf", headers_helper=helper.command), Signal.LOGS)
    assert "bad token [redacted]" in str(outcome.error)


def test_only_the_signals_that_are_named_carry_the_headers(helper: Helper, receiver: OtlpReceiver) -> None:
    otel = settings(receiver, "http/protobuf", headers_helper=helper.command, signals=["traces"])
    receiver.bearer = None
    assert sent(otel, Signal.TRACES).ok
    assert sent(otel, Signal.METRICS).ok
    assert ["authorization" in request.headers for request in receiver.requests] == [True, False]


def test_an_endpoint_of_the_environment_does_not_get_the_credentials_of_the_file(helper: Helper) -> None:
    config = Config(
        otel={"OTEL_EXPORTER_OTLP_ENDPOINT": "https://own.example"},
        credentials=CredentialsConfig(headers_helper=helper.command),
    )
    moved = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other.example/v1/traces"}
    assert OtelSettings.from_config(config, moved).credential_signals == {Signal.METRICS, Signal.LOGS}


def test_a_configuration_that_may_not_be_the_owners_runs_no_helper(helper: Helper, receiver: OtlpReceiver) -> None:
    receiver.bearer = None
    config = Config(
        otel={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint},
        credentials=CredentialsConfig(headers_helper=helper.command),
    )
    otel = OtelSettings.from_config(config, {}, is_own=False)
    assert sent(otel, Signal.METRICS).ok
    assert helper.runs == 0
    assert "[credentials] is left out" in otel.warnings[0]


def test_no_variable_sets_a_helper(tmp_path: Path) -> None:
    variables = {"CLAUDE_HOOKS_OTEL_CREDENTIALS__HEADERS_HELPER": "/bin/evil", "OTEL_HEADERS_HELPER": "/bin/evil"}
    assert not load(tmp_path / "config.toml", variables).credentials.is_set


@PROTOCOLS
def test_a_shutdown_ends_a_helper_at_once(helper: Helper, receiver: OtlpReceiver, protocol: str) -> None:
    os.mkfifo(helper.folder / "started")
    helper.script("echo > started\nexec sleep 100")
    one = exporter(settings(receiver, protocol, headers_helper=helper.command), Signal.METRICS)
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(one.probe()))
    thread.start()
    with (helper.folder / "started").open() as started:
        started.read()
    one.shutdown()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert outcomes[0].status is Status.UNAVAILABLE


# -- what a helper may print, and when it runs ---------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def credentials(clock: Callable[[], float] | None = None, **config: Any) -> Credentials:
    return Credentials(CredentialsConfig(**config), {}, Redactor(), *([clock] if clock else []))


def test_the_helper_runs_again_after_the_interval(helper: Helper) -> None:
    clock = Clock()
    source = credentials(clock, headers_helper=helper.command, interval_seconds=60)
    assert source.headers(5) == source.headers(5) == {"authorization": f"Bearer {FIRST}"}
    helper.gives(SECOND)
    clock.now += 59
    assert source.headers(5) == {"authorization": f"Bearer {FIRST}"}
    clock.now += 1
    assert source.headers(5) == {"authorization": f"Bearer {SECOND}"}
    assert helper.runs == 2


def test_the_helper_says_how_long_its_headers_are_valid(helper: Helper) -> None:
    clock = Clock()
    helper.gives(FIRST, expires_in=600)
    source = credentials(clock, headers_helper=helper.command)
    assert source.headers(5) == {"authorization": f"Bearer {FIRST}"}
    clock.now += 569
    source.headers(5)
    assert helper.runs == 1
    clock.now += 1
    source.headers(5)
    assert helper.runs == 2


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("Bearer 3cr3t-of-the-helper", "not a JSON object"),
        ('["3cr3t-of-the-helper"]', "not a JSON object"),
        ('{"Authorization": 3}', "a text of printable ASCII"),
        ('{"Author ization": "x"}', "a text of printable ASCII"),
        ('{"Authorization": "3cr3t\\r\\nHost: other"}', "a text of printable ASCII"),
        ('{"expires_in": "soon"}', "not a number of seconds"),
        (" " * (LONGEST_OUTPUT + 1), "bytes of output"),
    ],
)
def test_output_that_cannot_be_used_is_an_error_without_the_output(helper: Helper, output: str, reason: str) -> None:
    helper.prints(output)
    with pytest.raises(CredentialError, match=reason) as raised:
        credentials(headers_helper=helper.command).headers(5)
    assert "3cr3t" not in str(raised.value)
    assert str(raised.value).startswith(f"headers from the helper {helper.command}")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("echo 3cr3t >&2; exit 3", "exit code 3"),
        ("sleep 100", "not finished within 0.2 s"),
        ("sleep 100 & echo '{}'", "not finished within 0.2 s"),
    ],
    ids=["failing", "slow", "leaving a process"],
)
def test_a_helper_that_fails_or_takes_too_long_is_an_error(helper: Helper, lines: str, reason: str) -> None:
    helper.script(lines)
    timeout = 5 if "exit" in lines else 0.2
    with pytest.raises(CredentialError, match=reason) as raised:
        credentials(headers_helper=helper.command, timeout_seconds=timeout).headers(5)
    assert "3cr3t" not in str(raised.value)


def test_a_missing_helper_is_an_error() -> None:
    with pytest.raises(CredentialError, match="cannot be started: No such file"):
        credentials(headers_helper="/nowhere/helper").headers(5)


def test_the_helper_gets_no_path_of_a_session(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{helper.folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SESSION_VARIABLE", "x")
    helper.script('printf \'{"path": "%s", "other": "%s"}\' "$PATH" "$SESSION_VARIABLE"')
    headers = credentials(headers_helper=helper.command).headers(5)
    assert str(helper.folder) not in headers["path"]
    assert headers["other"] == ""


def test_the_helper_gets_the_variables_of_the_file(helper: Helper) -> None:
    helper.script('printf \'{"path": "%s"}\' "$PATH"')
    source = Credentials(CredentialsConfig(headers_helper=helper.command), {"PATH": "/own/bin"}, Redactor())
    assert source.headers(5) == {"path": "/own/bin"}


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"headers_helper": "helper"}, "absolute path"),
        ({"headers_helper": "'"}, "not a command line"),
        ({"token_file": "token"}, "absolute path"),
        ({"token_file": "/token", "keyring": "otlp/ann"}, "only one of token_file and keyring"),
        ({"keyring": "otlp"}, "should match pattern"),
        ({"token_file": "/token", "value": "Bearer"}, "should match pattern"),
    ],
)
def test_a_configuration_without_a_usable_source_is_refused(keys: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Config().with_changes({"credentials": keys})


# -- a file and the keyring ----------------------------------------------------------------------------------------------------


@PROTOCOLS
def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path, receiver: OtlpReceiver, protocol: str) -> None:
    file = tmp_path / "token"
    file.write_text(f"{FIRST}\n")
    otel = settings(receiver, protocol, token_file=str(file))
    assert sent(otel, Signal.METRICS).ok
    (tmp_path / "next").write_text(SECOND)
    (tmp_path / "next").replace(file)  # as Kubernetes and Vault replace it
    receiver.bearer = SECOND
    assert sent(otel, Signal.TRACES).ok
    assert [request.accepted for request in receiver.requests] == [True, True]


def test_the_header_of_a_token_file_can_have_any_name_and_form(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("12345:glc_abc")
    source = credentials(token_file=str(tmp_path / "token"), header="X-Auth", value="Basic {base64}")
    assert source.headers(5) == {"x-auth": f"Basic {base64.b64encode(b'12345:glc_abc').decode()}"}


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), ("", "no token"), ("two\nlines", "not one line")]
)
def test_a_token_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(CredentialError, match=reason):
        credentials(token_file=str(tmp_path / "token")).headers(5)


KEYRING = """
import json, os
from keyring.backend import KeyringBackend

class Backend(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        with open(os.environ["TEST_KEYRING"]) as file:
            return json.load(file).get(f"{service}/{username}")
    def set_password(self, service, username, password):
        raise NotImplementedError
"""


@pytest.mark.skipif(importlib.util.find_spec("keyring") is None, reason="the extra keyring is not installed")
def test_a_token_comes_from_the_keyring(tmp_path: Path, receiver: OtlpReceiver) -> None:
    (tmp_path / "own_keyring.py").write_text(KEYRING)
    (tmp_path / "entries").write_text(json.dumps({"otlp/ann": FIRST}))
    environment = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "own_keyring.Backend"}
    environment["TEST_KEYRING"] = str(tmp_path / "entries")
    config = Config(
        otel={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint},
        environment=environment,
        credentials=CredentialsConfig(keyring="otlp/ann"),
    )
    assert sent(OtelSettings.from_config(config, {}), Signal.METRICS).ok
    (tmp_path / "entries").write_text("{}")
    with pytest.raises(CredentialError, match="the keyring entry otlp/ann: exit code 1"):
        Credentials(config.credentials, environment, Redactor()).headers(20)


def test_without_the_package_the_keyring_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "keyring.py").write_text("raise SystemExit(9)")
    source = Credentials(CredentialsConfig(keyring="otlp/ann"), {"PYTHONPATH": str(tmp_path)}, Redactor())
    with pytest.raises(CredentialError, match="exit code 9"):
        source.headers(20)
