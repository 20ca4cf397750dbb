"""What install, flush, status and uninstall say is what is so."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.flush_now import flush_now
from claude_hooks_otel.daemon.loop import Loop
from claude_hooks_otel.export.exporters import build_metric_exporters
from claude_hooks_otel.home.flush_requests import FlushRequests
from claude_hooks_otel.home.lock import DaemonLock
from claude_hooks_otel.installation.hook_entries import malformed
from claude_hooks_otel.settings import OtelSettings, load
from tests.cli.conftest import Account
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import wait_until

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
BROKEN = [
    ("not toml", "not TOML"),
    ("[daemon]\nidle = 1", "unknown key daemon.idle"),
    ('[series]\nlimit = "many"', "series.limit"),
    (b"\xff\xfe", "not UTF-8 text"),
]

# -- a configuration that cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_with_a_broken_file_the_last_good_configuration_still_exports(
    account: Account, otlp_receiver: OtlpReceiver, text: str | bytes, reason: str
) -> None:
    account.use()
    account.export_to(otlp_receiver.http_endpoint)
    account.ok("flush")
    before = len(otlp_receiver.metrics)
    account.home.config.write_bytes(text if isinstance(text, bytes) else text.encode())
    flushed = account.run("flush")
    assert flushed.exit_code == 1
    assert "otlp metrics: accepted" in flushed.stdout
    assert f"The last good configuration is used: {account.home.last_config}." in flushed.stderr
    for said in (
        flushed.stderr,
        account.run("status").stderr,
        account.run("doctor").stdout,
        account.home.log.read_text(),
    ):
        assert reason in said
    sent = [point for point in otlp_receiver.metrics[before:] if point.name == "claude.hooks.configuration.error"]
    assert [point.value for point in sent][-1:] == [1]
    account.export_to(otlp_receiver.http_endpoint)
    account.ok("flush")
    assert [point.value for point in otlp_receiver.metrics if point.name == "claude.hooks.configuration.error"][-1] == 0


def test_without_a_last_good_file_a_broken_one_says_that_nothing_is_exported(account: Account) -> None:
    account.home.create()
    account.home.config.write_text("not toml")
    said = account.run("flush").stderr
    assert "The defaults are used, and nothing is exported." in said


def test_a_byte_order_mark_is_read(account: Account) -> None:
    account.home.create()
    account.home.config.write_bytes(b'\xef\xbb\xbf[identity]\nagent = "bob"\n')
    assert load(account.home.config, {}).identity.agent == "bob"


# -- flush and status ----------------------------------------------------------------------------------------------------------


def test_flush_names_what_each_endpoint_accepted_of_each_signal(account: Account, otlp_receiver: OtlpReceiver) -> None:
    account.use()
    account.export_to(otlp_receiver.http_endpoint)
    account.turn()
    said = account.ok("flush").splitlines()
    assert said[0].startswith("otlp metrics: accepted ")
    assert said[0].endswith(" series")
    again = account.ok("flush").splitlines()
    assert "otlp traces: nothing to send" in again


def test_status_before_the_first_export_names_the_endpoint_and_not_its_absence(account: Account) -> None:
    account.use()
    account.export_to("http://127.0.0.1:4318")
    said = account.ok("status")
    assert "OTLP http/protobuf to http://127.0.0.1:4318/v1/metrics" in said
    assert "accepted nothing yet" in said
    assert "no endpoint" not in said


def test_a_signal_that_an_endpoint_does_not_take_is_not_accepted(account: Account, otlp_receiver: OtlpReceiver) -> None:
    account.use()
    account.export_to(otlp_receiver.http_endpoint, OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    account.ok("flush")
    account.export_to(
        otlp_receiver.http_endpoint, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{otlp_receiver.http_endpoint}/nowhere"
    )
    account.turn()
    flushed = account.run("flush")
    assert flushed.exit_code == 1
    assert "otlp logs: not accepted" in flushed.stderr
    assert "otlp metrics: accepted" in flushed.stdout
    status = account.run("status")
    assert (status.exit_code, "otlp logs: " in status.stderr) == (1, True)


def test_a_custom_exporter_that_fails_makes_flush_fail(account: Account) -> None:
    account.use()
    account.home.config.write_text('[exporters.file]\nclass = "json_lines"\npath = "/dev/null/nowhere.jsonl"\n')
    account.capture()
    flushed = account.run("flush")
    assert flushed.exit_code == 1
    assert "file measurements: not accepted" in flushed.stderr
    assert "file measurements: " in account.run("status").stderr


def test_flush_goes_on_by_itself_when_the_daemon_ends(account: Account) -> None:
    account.use()
    lock = DaemonLock.acquire(account.home)

    def end() -> None:
        wait_until(FlushRequests(account.home).waiting, 20)
        lock.release()

    ending = threading.Thread(target=end)
    ending.start()
    assert flush_now(account.home, 120, {}).ok
    ending.join()


def test_a_daemon_waits_as_long_as_the_command_for_its_endpoints(account: Account, otlp_receiver: OtlpReceiver) -> None:
    account.use()
    otlp_receiver.http.hang()
    account.export_to(otlp_receiver.http_endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
    lock = DaemonLock.acquire(account.home)
    daemon = Loop(account.home, {})
    running = threading.Thread(target=daemon.run)
    running.start()
    said = account.run("flush", "--timeout", "0.2")
    otlp_receiver.http.answer_normally()
    daemon.stopping.set()
    running.join()
    lock.release()
    assert "otlp metrics: not accepted (kept, and tried again later): no answer within 0.2 s" in said.stderr
    assert "The daemon" not in said.stderr


# -- what cannot be reached ------------------------------------------------------------------------------------------------------


def error_of(**variables: str) -> str:
    given = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in {"TIMEOUT": "5000", **variables}.items()}
    [exporter] = build_metric_exporters(OtelSettings.from_variables(given))
    outcome = exporter.probe()
    exporter.shutdown()
    return str(outcome.error)


def test_a_mix_up_of_the_protocols_is_named_with_its_remedy(otlp_receiver: OtlpReceiver) -> None:
    assert "speaks HTTP, not gRPC. Use the protocol http/protobuf" in error_of(
        ENDPOINT=otlp_receiver.http_endpoint, PROTOCOL="grpc"
    )
    assert "speaks gRPC, not HTTP. Use the protocol grpc" in error_of(
        ENDPOINT=otlp_receiver.grpc_endpoint, PROTOCOL="http/protobuf"
    )


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_error_has_no_names_of_classes(protocol: str, otlp_receiver: OtlpReceiver) -> None:
    tls = (otlp_receiver.http_endpoint if protocol != "grpc" else otlp_receiver.grpc_endpoint).replace(
        "http:", "https:"
    )
    assert "the endpoint does not use TLS" in error_of(ENDPOINT=tls, PROTOCOL=protocol)
    assert "the name no-such-host.invalid cannot be resolved" in error_of(
        ENDPOINT="http://no-such-host.invalid:4318", PROTOCOL=protocol
    )


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_proxy_before_this_machine_gets_the_remedy(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "If localhost needs no proxy, add it to NO_PROXY" in error_of(
        ENDPOINT="http://localhost:4318", PROTOCOL=protocol
    )


# -- install -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("not a url", "is not a URL"),
        ("collector.example.com:4317", "has no scheme. Begin it with https://"),
        ("http://localhost:4318?token=x", "has a query"),
        ("http://", "names no host"),
        ("http://localhost:port", "is not a URL"),
    ],
)
def test_a_bad_endpoint_is_refused_and_nothing_is_written(account: Account, endpoint: str, said: str) -> None:
    result = account.run("install", "--endpoint", endpoint)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not account.settings.exists()
    assert not account.home.root.exists()


@pytest.mark.parametrize(
    ("endpoint", "said", "stored"),
    [
        ("localhost:4317", "The endpoint has no scheme: http://localhost:4317 is used.", "http://localhost:4317"),
        ("http://localhost:4318/v1/metrics", "/v1/metrics is left out, because it is added anyway", None),
    ],
)
def test_a_repaired_endpoint_is_named(account: Account, endpoint: str, said: str, stored: str | None) -> None:
    assert said in account.ok("install", "--endpoint", endpoint)
    config = load(account.home.config, {})
    assert config.otel[ENDPOINT] == (stored or endpoint)
    for signal, settings in OtelSettings.from_config(config, {}).signals.items():
        assert settings.otlp is not None
        assert settings.otlp.endpoint in {"localhost:4317", f"http://localhost:4318/v1/{signal}"}


def test_variables_for_the_client_itself_do_not_stop_install(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus,otlp")
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "prometheus")
    monkeypatch.setenv(ENDPOINT, "http://localhost:4318")
    said = account.ok("install")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json is for Claude Code itself: http/protobuf is used here" in said
    assert "OTEL_METRICS_EXPORTER: prometheus is for Claude Code itself, and otlp is used here." in said
    assert "OTEL_LOGS_EXPORTER: prometheus is for Claude Code itself, and the variable is left out here." in said
    assert load(account.home.config, {}).otel == {
        ENDPOINT: "http://localhost:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "otlp",
    }


def test_install_names_a_proxy_before_an_endpoint_on_this_machine(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example.com:8080")
    said = account.ok("install", "--endpoint", "http://localhost:4318")
    assert "HTTP_PROXY sends the requests to http://localhost:4318 to a proxy. If localhost needs no proxy" in said
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert "to a proxy" not in account.ok("install")


def test_install_with_settings_that_cannot_be_written_writes_nothing(account: Account) -> None:
    (account.root / "file").touch()
    result = account.run("install", "--settings", str(account.root / "file" / "settings.json"))
    assert result.exit_code == 1
    assert "Wrote" not in result.stdout
    assert not account.home.root.exists()


def test_a_new_folder_for_settings_is_named(account: Account) -> None:
    path = account.root / "new" / "settings.json"
    assert f"{path.parent} is a new folder." in account.ok("install", "--settings", str(path))
    assert "new folder" not in account.ok("install", "--settings", str(path))


MALFORMED = [
    ({"PostToolUse": [{"matcher": {}, "hooks": []}]}, "hooks.PostToolUse[0].matcher"),
    ({"Stop": [{"hooks": [{"command": "x"}]}]}, "hooks.Stop[0].hooks[0]"),
    ({"Stop": [{"hooks": [{"type": "command", "command": 5}]}]}, "hooks.Stop[0].hooks[0].command"),
]


@pytest.mark.parametrize(("hooks", "path"), MALFORMED, ids=[path for _, path in MALFORMED])
def test_an_entry_that_the_client_cannot_read_is_named(account: Account, hooks: dict[str, object], path: str) -> None:
    assert list(malformed(hooks)) == [path]
    account.settings.parent.mkdir()
    account.settings.write_text(json.dumps({"hooks": hooks}))
    assert f"Claude Code cannot read {path}" in account.ok("install")
    diagnosed = account.run("doctor")
    assert (diagnosed.exit_code, path in diagnosed.stdout) == (1, True)
    assert "the next session starts it" not in diagnosed.stdout


def test_a_plugin_user_gets_the_remedy_for_the_plugin(account: Account) -> None:
    account.settings.parent.mkdir()
    account.settings.write_text('{"enabledPlugins": {"hooks-otel@market": true}}')
    assert "Run `claude-hooks-otel install --plugin`." in account.run("doctor").stdout


# -- uninstall -----------------------------------------------------------------------------------------------------------------


def test_uninstall_names_other_files_with_hooks_and_all_takes_them_out(account: Account) -> None:
    other = account.root / "other" / "settings.json"
    account.ok("install", "--settings", str(other))
    account.ok("install")
    assert f"{other} still has entries of ours. Run `claude-hooks-otel uninstall --settings {other}`" in account.ok(
        "uninstall"
    )
    account.ok("uninstall", "--all", "--purge")
    assert not other.exists()
    assert not account.home.root.exists()


def test_backups_go_when_the_file_is_as_it_was(account: Account) -> None:
    account.settings.parent.mkdir()
    account.settings.write_text('{\n  "model": "opus"\n}\n')
    account.ok("install")
    account.ok("install", "--agent", "backend")
    assert len(_backups(account.settings)) == 2
    assert "2 backups of it went" in account.ok("uninstall")
    assert account.settings.read_text() == '{\n  "model": "opus"\n}\n'
    assert _backups(account.settings) == []


def test_backups_stay_when_somebody_else_changed_the_file(account: Account) -> None:
    account.settings.parent.mkdir()
    account.settings.write_text('{"model": "opus"}\n')
    account.ok("install")
    account.settings.write_text(account.settings.read_text().replace("opus", "haiku"))
    account.ok("uninstall")
    assert len(_backups(account.settings)) == 2


def _backups(file: Path) -> list[Path]:
    return list(file.parent.glob("*.bak"))


@pytest.mark.parametrize(("answer", "is_left"), [("n\n", True), ("y\n", False)])
def test_purge_asks_once_on_a_terminal(
    account: Account, monkeypatch: pytest.MonkeyPatch, answer: str, is_left: bool
) -> None:
    account.ok("install")
    monkeypatch.setattr("claude_hooks_otel.cli.uninstall.is_terminal", lambda: True)
    result = account.run("uninstall", "--purge", answer=answer)
    assert result.stdout.count("Delete everything") == 1
    assert account.home.root.exists() == is_left
    assert account.settings.exists() == is_left
