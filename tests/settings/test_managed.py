"""The organization's settings: which files count, and which variables they set for us."""

from __future__ import annotations

import json
import os
import plistlib
import pwd
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.settings import Config, OtelSettings, Signal, managed
from claude_hooks_otel.settings.managed import managed_files, managed_variables, read_managed

ENDPOINT = "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT"


def write(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plistlib.dumps(values) if path.suffix == ".plist" else json.dumps(values).encode())
    return path


def test_the_files_come_in_the_order_in_which_the_client_merges_them(tmp_path: Path) -> None:
    base = tmp_path / "managed-settings.json"
    second, first = (write(tmp_path / "managed-settings.d" / name, {}) for name in ("20-b.json", "10-a.json"))
    write(tmp_path / "managed-settings.d" / ".hidden.json", {})
    write(tmp_path / "managed-settings.d" / "notes.txt", {})
    assert managed_files([tmp_path], tmp_path / "none") == (base, first, second)


def test_a_profile_stands_in_place_of_the_files_and_that_of_the_user_comes_first(tmp_path: Path) -> None:
    profiles = tmp_path / "profiles"
    of_machine = write(profiles / "com.anthropic.claudecode.plist", {"env": {ENDPOINT: "http://machine:4318"}})
    assert managed_files([tmp_path], profiles) == (of_machine,)
    user = pwd.getpwuid(os.geteuid()).pw_name
    of_user = write(profiles / user / of_machine.name, {"env": {ENDPOINT: "http://user:4318"}})
    assert managed_files([tmp_path], profiles) == (of_user,)
    assert managed_variables([of_user]) == {ENDPOINT: "http://user:4318"}


def test_only_variables_with_our_prefix_count_and_a_later_file_wins(tmp_path: Path) -> None:
    first = write(
        tmp_path / "1.json", {"env": {ENDPOINT: "http://a:4318", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://b:4318"}}
    )
    second = write(tmp_path / "2.json", {"env": {ENDPOINT: "http://c:4318", "CLAUDE_HOOKS_OTEL_SERVICE_NAME": 3}})
    assert managed_variables([first, second, tmp_path / "none.json"]) == {ENDPOINT: "http://c:4318"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", b"{", "Expecting"),
        ("a.json", b"[]", "has to hold an object"),
        ("a.plist", b"<plist", "is not a property list"),
        ("a.plist", b"nothing", "is not a property list"),
    ],
)
def test_a_broken_file_is_named_and_sets_nothing(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_managed(path)
    assert managed_variables([path]) == {}


def test_the_organization_wins_over_the_file_and_gets_none_of_its_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "managed-settings.json", {"env": {ENDPOINT: "http://company:4318"}})
    monkeypatch.setattr(managed, "FOLDERS", (tmp_path,))
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4318", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=mine"}
    signal = OtelSettings.from_config(Config(otel=own), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://shell:4318"}).signals
    otlp = signal[Signal.METRICS].otlp
    assert otlp is not None
    assert otlp.endpoint.startswith("http://company:4318")
    assert "mine" not in repr(otlp.headers)
