"""Credentials that expire, from ``install`` to ``status``, with a receiver whose tokens expire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Account
from tests.support.otlp_receiver import OtlpReceiver

FIRST, SECOND = "tok-first-3cr3t", "tok-second-3cr3t"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver(bearer=FIRST) as running:
        yield running


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    path = tmp_path / "helper"
    path.write_text(f"#!/bin/sh\ncat {tmp_path}/headers 2>/dev/null\n")
    path.chmod(0o700)
    return path


def give(account: Account, token: str) -> None:
    (account.root / "headers").write_text(json.dumps({"Authorization": f"Bearer {token}"}))


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_signal_arrives_although_the_token_expires_meanwhile(
    account: Account, receiver: OtlpReceiver, helper: Path, protocol: str
) -> None:
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    account.ok("install", "--endpoint", endpoint, "--protocol", protocol, "--key-from", f"helper:{helper}")
    give(account, FIRST)
    account.capture()
    account.ok("flush")
    receiver.bearer = SECOND
    give(account, SECOND)
    account.capture("SessionEnd", reason="other")
    account.ok("flush")
    assert {request.signal for request in receiver.requests if request.accepted} == {"metrics", "logs"}
    assert f"headers from the helper {helper}" in account.ok("status")
    said = account.home.log.read_text() if account.home.log.exists() else ""
    assert "3cr3t" not in said + account.home.config.read_text()


def test_the_error_of_a_helper_is_in_status_and_nothing_that_it_printed_in_the_log(
    account: Account, receiver: OtlpReceiver, helper: Path
) -> None:
    helper.write_text(f"#!/bin/sh\necho '{FIRST}'; echo '{SECOND}' >&2; exit 4\n")
    account.ok("install", "--endpoint", receiver.grpc_endpoint, "--key-from", f"helper:{helper}")
    account.capture()
    flushed = account.run("flush")
    assert flushed.exit_code == 1
    status = account.run("status")
    assert status.exit_code == 1
    assert f"{helper}: exit code 4" in " ".join(status.stderr.split())
    log = account.home.log.read_text() if account.home.log.exists() else ""
    assert "3cr3t" not in status.output + status.stderr + flushed.output + flushed.stderr + log
    assert receiver.requests == []
