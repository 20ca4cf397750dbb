"""A real daemon process renews headers while tokens expire, and nothing secret gets into its log, its store or its output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config, CredentialsConfig, save
from claude_hooks_otel.sources.spool import Spool
from tests.support.otlp_receiver import OtlpReceiver

TOKENS = ("tok-1-3cr3t", "tok-2-3cr3t", "tok-3-3cr3t")


def event(home: Home, name: str, **payload: str) -> None:
    base = {"session_id": "s", "transcript_path": "/none.jsonl", "cwd": "/", "hook_event_name": name}
    Spool(home.spool).write(name, {"agent": "backend"}, json.dumps({**base, **payload}).encode())


def accepted_with(token: str) -> Callable[[OtlpReceiver], bool]:
    """Return whether each signal has been accepted with a token."""

    def check(receiver: OtlpReceiver) -> bool:
        signals = {
            request.signal
            for request in receiver.requests
            if request.accepted
            and {name.lower(): value for name, value in request.headers.items()}["authorization"] == f"Bearer {token}"
        }
        return {"metrics", "logs", "traces"} <= signals

    return check


@pytest.mark.slow
@pytest.mark.parametrize("source", ["helper", "file"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_daemon_goes_on_while_tokens_expire(tmp_path: Path, protocol: str, source: str) -> None:
    home = Home.from_environment({"HOME": str(tmp_path)})
    home.create()
    token = tmp_path / "token"
    helper = tmp_path / "helper"
    helper.write_text(f'#!/bin/sh\nprintf \'{{"Authorization": "Bearer %s"}}\' "$(cat {token})"\n')
    helper.chmod(0o700)
    chosen = {"headers_helper": str(helper)} if source == "helper" else {"token_file": str(token)}
    with OtlpReceiver(bearer=TOKENS[0]) as receiver:
        url = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        daemon = {"export_delay_seconds": 0.05}
        save(home.config, Config(otel=otel, daemon=daemon, credentials=CredentialsConfig(**chosen)))
        token.write_text(TOKENS[0])
        command = [sys.executable, "-m", "claude_hooks_otel", "daemon"]
        environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
        try:
            for number, current in enumerate(TOKENS):
                receiver.bearer = current
                token.write_text(current)
                event(home, "SessionStart", source="startup")
                event(home, "UserPromptSubmit", prompt="hello", prompt_id=f"p{number}")
                event(home, "Stop")
                event(home, "SessionEnd", reason="other")
                receiver.wait_for(accepted_with(current), timeout=60)
        finally:
            process.terminate()
            process.wait(30)
    kept = b"".join(path.read_bytes() for path in home.root.rglob("*") if path.is_file() and path != home.config)
    assert b"3cr3t" not in kept + (tmp_path / "output").read_bytes()
