"""The next prompt shows each notice once, and a block refuses it. Only the daemon of the owner's home can prepare them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.home.prompt_files import PromptFiles
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.units import HOUR
from tests.support.hook_runs import usual_home
from tests.support.places import EMIT

SESSION = "11111111-2222-4333-8444-555555555555"
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
TEXT = 'Budget for today: 80 % used: "8 of 10"\tand \\ more, 5 €'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = usual_home(tmp_path)
    home.create()
    return home


def prompt(
    home: Home, user: Path | None = None, shell: str = "sh", event: str = "UserPromptSubmit", **more: str
) -> Any:
    """Run the hook as the client does. Return what it prints, as JSON; None for nothing."""
    user = user or home.root.parents[2]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(user), "CLAUDE_CODE_SESSION_ID": SESSION, **more}
    environ.setdefault("CLAUDE_CODE_ENTRYPOINT", "cli")
    command = [shell, "-c", registration.command(event, f'"{EMIT}"')]
    done = subprocess.run(command, input=b"{}", env=environ, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout) if done.stdout else None


def notice(home: Home, name: str = "a", text: str = TEXT, hours: float = 1) -> None:
    files = PromptFiles(home)
    files.draft(name, text, time.time_ns() + round(hours * HOUR))
    files.show(name)


def block(home: Home, session: str | None = None, hours: float = 1) -> None:
    PromptFiles(home).block({session: ("used up", time.time_ns() + round(hours * HOUR))})


@pytest.mark.parametrize("shell", SHELLS)
def test_a_notice_is_shown_once(home: Home, shell: str) -> None:
    notice(home)
    assert prompt(home, shell=shell, event="Stop") is None
    assert prompt(home, shell=shell) == {"systemMessage": TEXT}
    assert prompt(home, shell=shell) is None
    assert list(home.prompt.iterdir()) == []
    assert Spool(home.spool).depth() == 3


def test_notices_that_wait_together_are_one_message(home: Home) -> None:
    notice(home, "a", "First.")
    notice(home, "b", "Second.")
    assert prompt(home) == {"systemMessage": "First. Second."}


def test_sessions_that_prompt_at_once_show_a_notice_once(home: Home) -> None:
    notice(home)
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda _: prompt(home), range(16)))
    assert [each for each in shown if each] == [{"systemMessage": TEXT}]


def test_a_draft_is_not_shown(home: Home) -> None:
    PromptFiles(home).draft("a", TEXT, time.time_ns() + HOUR)
    assert prompt(home) is None


def test_a_program_leaves_a_notice_for_a_person(home: Home) -> None:
    notice(home)
    assert prompt(home, CLAUDE_CODE_ENTRYPOINT="sdk-cli") is None
    assert prompt(home) == {"systemMessage": TEXT}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_block_refuses_every_prompt_until_it_is_lifted(home: Home, shell: str) -> None:
    notice(home)
    block(home)
    for entrypoint in ("cli", "sdk-cli"):
        blocked = prompt(home, shell=shell, CLAUDE_CODE_ENTRYPOINT=entrypoint)
        assert blocked == {"decision": "block", "reason": "used up"}
    PromptFiles(home).block({})
    assert prompt(home, shell=shell) == {"systemMessage": TEXT}


def test_a_block_of_a_session_blocks_no_other(home: Home) -> None:
    block(home, SESSION)
    assert prompt(home) is not None
    assert prompt(home, CLAUDE_CODE_SESSION_ID="another") is None


def test_files_that_have_ended_are_neither_shown_nor_block(home: Home) -> None:
    notice(home, hours=-1)
    block(home, hours=-1)
    assert prompt(home) is None
    PromptFiles(home).clean(time.time_ns())
    assert list(home.prompt.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"used up\n", b'{"decision":"block"', b"\0\xff\n", b'{"decision":"approve","reason":"x"}\n']
)
def test_an_unreadable_block_blocks_nothing(home: Home, content: bytes) -> None:
    block(home)
    path = home.prompt / "block"
    path.write_bytes(content)
    os.utime(path, (time.time() + 3600,) * 2)
    assert prompt(home) is None


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "closed"])
def test_a_block_that_is_no_file_that_can_be_read_blocks_nothing(home: Home, kind: str) -> None:
    home.prompt.mkdir()
    path = home.prompt / "block"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/nowhere")
    else:
        block(home)
        path.chmod(0)
        if os.geteuid() == 0:
            pytest.skip("root can read every file")
    assert prompt(home) is None


@pytest.mark.parametrize("variable", ["CLAUDE_HOOKS_OTEL_HOME", "XDG_STATE_HOME"])
def test_a_project_that_chooses_the_home_shows_and_blocks_nothing(tmp_path: Path, variable: str) -> None:
    planted, user = Home(tmp_path / "project" / "claude-hooks-otel"), tmp_path / "user"
    planted.create()
    notice(planted)
    block(planted)
    named = planted.root if variable == "CLAUDE_HOOKS_OTEL_HOME" else planted.root.parent
    assert prompt(planted, user, **{variable: str(named)}) is None
    usual = usual_home(user)
    usual.create()
    usual.others.write_text(f"{planted.root}\n")
    assert prompt(planted, user, **{variable: str(named)}) == {"decision": "block", "reason": "used up"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_another_user_are_not_used(home: Home) -> None:
    notice(home)
    block(home)
    for path in home.prompt.iterdir():
        os.chown(path, 65534, 65534)
    assert prompt(home) is None


def test_a_closed_output_loses_no_event(home: Home) -> None:
    block(home)
    command = registration.command("UserPromptSubmit", f'"{EMIT}"')
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(home.root.parents[2])}
    done = subprocess.run(["sh", "-c", f"({command}) >&- 2>&-"], input=b"{}", env=environ, check=False)
    assert done.returncode == 0
    assert Spool(home.spool).depth() == 1
