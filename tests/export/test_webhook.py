"""A webhook gets each notification in the form of its receiver, within bounded time. No error names its address."""

from __future__ import annotations

import email.header
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.export.notification import Notification, Sent, show_on_desktop
from claude_hooks_otel.export.webhook import send_to_webhook
from claude_hooks_otel.settings import WebhookConfig
from tests.support.webhook_receiver import PATH, WebhookReceiver

NOTE = Notification("day/all/1/80", "Budget for today, agent añez", "$8.00 of $10.00 (80 %).", True, {"used_usd": 8.0})


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as server:
        yield server


def sent(receiver: WebhookReceiver, **given: Any) -> tuple[dict[str, str], bytes]:
    assert send_to_webhook(WebhookConfig(url=receiver.url, **given), NOTE) == Sent()
    [(path, headers, body)] = receiver.got
    assert path == PATH
    return headers, body


def test_slack_gets_a_text(receiver: WebhookReceiver) -> None:
    headers, body = sent(receiver, format="slack")
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"text": f"*{NOTE.title}*\n{NOTE.text}"}


def test_ntfy_gets_the_text_as_its_body_and_the_title_as_a_header(receiver: WebhookReceiver) -> None:
    headers, body = sent(receiver, format="ntfy", headers={"Authorization": "Bearer t"})
    [(title, charset)] = email.header.decode_header(headers["title"])
    assert (title.decode(charset or ""), body.decode()) == (NOTE.title, NOTE.text)
    assert (headers["priority"], headers["authorization"]) == ("high", "Bearer t")


def test_any_other_receiver_gets_every_figure_as_json(receiver: WebhookReceiver) -> None:
    _, body = sent(receiver)
    assert json.loads(body) == {"version": 1, "id": NOTE.id, "title": NOTE.title, "text": NOTE.text, "used_usd": 8.0}


@pytest.mark.parametrize(
    ("status", "is_final"), [(500, False), (503, False), (429, False), (302, True), (404, True), (410, True)]
)
def test_a_refusal_is_final_and_a_failure_is_not(receiver: WebhookReceiver, status: int, is_final: bool) -> None:
    receiver.status = status
    assert send_to_webhook(WebhookConfig(url=receiver.url), NOTE) == Sent(f"HTTP {status}", is_final)
    assert len(receiver.got) == 1


def test_a_receiver_that_is_away_can_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/secret-path"
    assert send_to_webhook(WebhookConfig(url=url), NOTE) == Sent("no connection")


def test_a_receiver_that_is_silent_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret-path"
        began = time.monotonic()
        found = send_to_webhook(WebhookConfig(url=url), NOTE, timeout=0.3)
        assert time.monotonic() - began < 5
    assert found.error in {"no answer in time", "no connection"}
    assert not found.is_final


@pytest.mark.parametrize(
    "given", [{"url": "http://[::1/secret"}, {"headers": {"a": "secret\nb: c"}}, {"headers": {"x": "€"}}]
)
def test_an_address_or_header_that_cannot_be_used_is_final_and_not_named(receiver: WebhookReceiver, given: Any) -> None:
    found = send_to_webhook(WebhookConfig(**{"url": receiver.url, **given}), NOTE)
    assert found == Sent("the url or a header is not valid", is_final=True)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the desktop's. It writes its arguments, one a line."""
    path = tmp_path / ("osascript" if sys.platform == "darwin" else "notify-send")
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >'{tmp_path}/arguments'\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return path


def test_the_desktop_gets_title_and_text_as_arguments(program: Path) -> None:
    assert show_on_desktop(NOTE) == Sent()
    assert (program.parent / "arguments").read_text().splitlines()[-2:] == [NOTE.title, NOTE.text]


def test_macos_gets_the_texts_as_arguments_of_a_constant_script(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.rename(program.with_name("osascript"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert show_on_desktop(NOTE) == Sent()
    arguments = (program.parent / "arguments").read_text().splitlines()
    assert arguments[-2:] == [NOTE.title, NOTE.text]
    assert not any(NOTE.title in line for line in arguments[:-2])


def test_a_desktop_that_is_away_can_be_tried_again(program: Path) -> None:
    program.write_text("#!/bin/sh\necho 'no message bus' >&2\nexit 1\n")
    assert show_on_desktop(NOTE) == Sent(f"{program.name}: no message bus")


def test_a_machine_without_the_program_is_final(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = show_on_desktop(NOTE)
    assert found.is_final
    assert "is not installed" in str(found.error)
