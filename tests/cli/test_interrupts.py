"""Ctrl-C at any moment ends a command with the code 130, and without a traceback."""

from __future__ import annotations

import pytest

from claude_hooks_otel.cli import app, main


class Interrupting:
    """Does in a class body what Ctrl-C does there."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise KeyboardInterrupt


def in_a_class(_: str | None) -> None:
    type("Made", (), {"field": Interrupting()})


def at_once(_: str | None) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [at_once, in_a_class])
def test_an_interrupted_start_is_silent(
    stop: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["claude-hooks-otel", "status"])
    monkeypatch.setattr(app, "make_app", stop)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")


def test_another_runtime_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str | None) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("sys.argv", ["claude-hooks-otel", "status"])
    monkeypatch.setattr(app, "make_app", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        main()
