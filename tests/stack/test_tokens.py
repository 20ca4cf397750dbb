"""The file of a gateway's tokens. tests/stack/test_team.py shows that a real Collector follows it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring import tokens

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_new_token_expires_after_90_days_and_is_printed_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tokens.main([str(file), "add", "laptop"]) == 0
    secret = capsys.readouterr().out.strip()
    (token,) = tokens.read(file)
    assert (token.secret, token.name) == (secret, "laptop")
    assert timedelta(days=89) < token.expires - datetime.now(UTC) <= timedelta(days=90)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert tokens.main([str(file), "list"]) == 0
    shown = capsys.readouterr().out
    assert "laptop" in shown
    assert secret not in shown


def test_each_line_begins_with_its_token(file: Path) -> None:
    """The Collector takes the first word of a line, whatever it is."""
    made = [tokens.add(file, name, 1, NOW) for name in ("a", "b")]
    assert [line.split()[0] for line in file.read_text().splitlines()] == [token.secret for token in made]


def test_expired_tokens_go_and_the_others_stay(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tokens.add(file, "old", -1, datetime.now(UTC)), tokens.add(file, "new", 1, datetime.now(UTC))
    assert tokens.main([str(file), "expire"]) == 0
    assert capsys.readouterr().out.startswith("expired: old")
    assert tokens.read(file) == [new]
    assert old.secret not in file.read_text()


def test_a_file_without_tokens_is_never_empty(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Collector keeps its old tokens when the file becomes empty."""
    tokens.add(file, "only", 1, NOW)
    assert tokens.main([str(file), "revoke", "only"]) == 0
    assert tokens.read(file) == []
    assert len(file.read_text().split()[0]) >= 32
    assert tokens.main([str(file), "revoke", "only"]) == 1
    assert "No token is named 'only'." in capsys.readouterr().err


def test_a_line_that_is_no_token_is_named_without_its_content(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("# a-secret\n")
    assert tokens.main([str(file), "expire"]) == 1
    told = capsys.readouterr().err
    assert "line 1" in told
    assert "a-secret" not in told
    assert tokens.main([str(file), "add", "two words"]) == 2
