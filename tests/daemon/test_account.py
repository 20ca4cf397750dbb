"""The account of Claude Code is in the resource only if its owner asks for it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.account import account
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.settings import CaptureConfig, OtelSettings

UUID = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"


def noted(folder: Path, content: Any) -> Path:
    (folder / ".claude.json").write_text(json.dumps(content))
    return folder


def test_the_account_is_left_out_unless_its_owner_asks_for_it(tmp_path: Path) -> None:
    folder = noted(tmp_path, {"oauthAccount": {"accountUuid": UUID, "emailAddress": "a@example.test"}})
    assert account(CaptureConfig(), folder) is None
    assert account(CaptureConfig(account="plain"), folder) == UUID
    assert account(CaptureConfig(account="hashed"), folder) == hashlib.sha256(UUID.encode()).hexdigest()


@pytest.mark.parametrize(
    "content",
    [{}, [], {"oauthAccount": None}, {"oauthAccount": {"accountUuid": 7}}, {"oauthAccount": {"accountUuid": "a@b"}}],
)
def test_a_user_without_an_account_has_none(tmp_path: Path, content: Any) -> None:
    assert account(CaptureConfig(account="plain"), tmp_path) is None
    assert account(CaptureConfig(account="plain"), noted(tmp_path, content)) is None


def test_a_pipe_in_place_of_the_clients_file_stops_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".claude.json")
    assert account(CaptureConfig(account="plain"), tmp_path) is None


def test_the_resource_names_the_account_and_the_owners_attributes_win() -> None:
    assert "user.account_uuid" not in service_resource(OtelSettings.from_variables({}), "i").attributes
    assert service_resource(OtelSettings.from_variables({}), "i", UUID).attributes["user.account_uuid"] == UUID
    otel = OtelSettings.from_variables({"OTEL_RESOURCE_ATTRIBUTES": "user.account_uuid=mine"})
    assert service_resource(otel, "i", UUID).attributes["user.account_uuid"] == "mine"
