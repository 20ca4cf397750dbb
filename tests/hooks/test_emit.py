"""The hook script ``hooks/emit``, run as Claude Code runs it: through the registered command, in each kind of shell.

Whatever happens, it prints nothing, ends with 0, and each captured event is complete.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.spool import Lost, Spool
from tests.support.places import EMIT
from tests.support.real_daemon import wait_until

SESSION = "11111111-2222-4333-8444-555555555555"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "bash-posix": ["bash", "--posix"], "sh": ["sh"]}
# Events at which the hook checks whether the daemon runs.
CHECKING = {"SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"}


@dataclass
class Hook:
    """The registered commands of one installation, ready to run."""

    home: Home
    shell: list[str] = field(default_factory=lambda: ["sh"])
    variables: dict[str, str] = field(default_factory=dict)

    def install(self) -> Hook:
        self.home.create()
        shutil.copy(EMIT, self.home.emit)
        return self

    def arguments(self, event: str) -> list[str]:
        return [*self.shell, "-c", registration.settings_hooks()[event][0]["hooks"][0]["command"]]

    @property
    def environ(self) -> dict[str, str]:
        usual = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home.root.parents[2]),
            "CLAUDE_CODE_SESSION_ID": SESSION,
        }
        return usual | self.variables

    def run(self, event: str = "Stop", payload: bytes = b"{}", prefix: tuple[str, ...] = ()) -> None:
        """Run the hook, and check that it prints nothing and ends with 0."""
        done = subprocess.run(
            [*prefix, *self.arguments(event)],
            input=payload,
            env=self.environ,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    @property
    def captured(self) -> list[Envelope]:
        found = list(Spool(self.home.spool).take(10_000))
        assert all(isinstance(entry, Envelope) for entry in found), found
        return [entry for entry in found if isinstance(entry, Envelope)]

    @property
    def unfinished(self) -> list[str]:
        return sorted(path.name for path in (self.home.spool / "tmp").iterdir())


def home_below(folder: Path) -> Home:
    """Return the usual home of a user whose home folder is ``folder``."""
    usual = Home.usual({"HOME": str(folder)})
    assert usual is not None
    return usual


@pytest.fixture(params=SHELLS)
def hook(request: pytest.FixtureRequest, tmp_path: Path) -> Hook:
    shell = SHELLS[request.param]
    if not shutil.which(shell[0]):
        pytest.skip(f"this machine has no {shell[0]}")
    return Hook(home_below(tmp_path / "the home"), shell).install()


@pytest.fixture
def sh_hook(tmp_path: Path) -> Hook:
    return Hook(home_below(tmp_path / "the home")).install()


def namespace(*kinds: str) -> tuple[str, ...]:
    """Return the command that runs another one in its own namespaces. Skip the test if the machine allows none."""
    prefix = ("unshare", *([] if os.geteuid() == 0 else ["-r"]), *kinds)
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"this machine does not allow `{' '.join(prefix)}`")
    return prefix


def test_shellcheck_finds_nothing() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "--enable=all", "--exclude=SC2250,SC2312", str(EMIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# -- captured events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b'{"a": 1}\n',
        b"no newline",
        b"\xff\xfe\x80 broken UTF-8 \xc3",
        b"NUL \0 bytes \0\0",
        b"%s $HOME `id` \\n",
    ],
    ids=repr,
)
def test_a_payload_is_captured_byte_for_byte(hook: Hook, payload: bytes) -> None:
    hook.run("PostToolUse", payload)
    [envelope] = hook.captured
    assert (envelope.event, envelope.payload) == ("PostToolUse", payload)
    assert hook.unfinished == []


def test_fifty_megabytes_are_captured_byte_for_byte(hook: Hook) -> None:
    payload = random.Random(1).randbytes(50_000_000)
    hook.run("PostToolUse", payload)
    [envelope] = hook.captured
    assert envelope.payload == payload


def test_an_unreadable_standard_input_leaves_an_empty_file_that_names_the_lost_event(hook: Hook) -> None:
    hook.run("Stop", prefix=("sh", "-c", 'exec "$@" <&-', "sh"))
    [entry] = Spool(hook.home.spool).take(10)
    assert isinstance(entry, Lost)
    assert (entry.event, entry.session_id) == ("Stop", SESSION)


def test_the_header_has_the_variables_of_the_hook_and_the_file_the_time_of_receipt(hook: Hook) -> None:
    hook.variables = {
        "CLAUDE_AGENT_ID": "backend",
        "CLAUDE_AGENT_PROJECT": "a=b==",
        "CLAUDE_AGENT_TEAM": "two\nlines\n\nand a fake header",
        "CLAUDE_AGENT_SPRINT": "\nnothing on the first line",
        "CLAUDE_AGENT_TASK_TYPE": "feature",
        "CLAUDE_AGENT_TASK_COMPLEXITY": "5",
        "CLAUDE_PROJECT_DIR": "/home/ann/my project",
        "CLAUDE_PID": "4711",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "AI_AGENT": "claude-code_2-1-330_harness",
        "TERM_PROGRAM": "-n %s",
        "CLAUDE_PLUGIN_ROOT": "/plugin",
        "TRACEPARENT": "00-ab-cd-01",
        "SECRET_TOKEN": "never",
    }
    marker = hook.home.root / "marker"
    marker.touch()
    before = marker.stat().st_mtime_ns
    hook.run("SessionEnd", b"{}")
    marker.touch()
    [envelope] = hook.captured
    assert envelope.headers == {
        "agent": "backend",
        "project": "a=b==",
        "team": "two",
        "sprint": "",
        "task_type": "feature",
        "task_complexity": "5",
        "project_directory": "/home/ann/my project",
        "process": "4711",
        "entrypoint": "cli",
        "client": "claude-code_2-1-330_harness",
        "terminal": "-n %s",
        "registered_by": "plugin",
        "traceparent": "00-ab-cd-01",
    }
    assert before <= envelope.received_ns <= marker.stat().st_mtime_ns
    assert b"never" not in (hook.home.spool / "new" / envelope.name).read_bytes()


def test_without_claude_pid_the_process_is_the_one_that_started_the_hook(hook: Hook) -> None:
    """Clients before 2.1.330 set no CLAUDE_PID. They start the shell of a hook themselves."""
    hook.run("SessionEnd", b"{}")
    [envelope] = hook.captured
    assert envelope.headers["process"] == str(os.getpid())


def test_only_the_owner_can_read_the_captured_files(hook: Hook) -> None:
    shutil.rmtree(hook.home.spool)
    hook.run()
    paths = [hook.home.spool, *hook.home.spool.rglob("*")]
    assert len(paths) == 4  # spool, tmp, new, the event
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


# -- faults that must not disturb the session --------------------------------------------------------------------------------


def _gone(file: Path) -> None:
    file.unlink()


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _syntax_error(file: Path) -> None:
    file.write_text("if then ) fi; echo 'oops\n")


def _half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])


def _failing(file: Path) -> None:
    file.write_text("false; exit 2\n")


def _noise(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 40)


@pytest.mark.parametrize("break_it", [_gone, _directory, _syntax_error, _half, _failing, _noise])
def test_with_a_broken_installation_the_hook_is_silent_and_ends_with_0(
    hook: Hook, break_it: Callable[[Path], None]
) -> None:
    break_it(hook.home.emit)
    for event in registration.REGISTERED:
        hook.run(event)


def test_the_hooks_of_light_registration_say_so(hook: Hook) -> None:
    for event, [group] in registration.settings_hooks(Registration.LIGHT).items():
        command = [*hook.shell, "-c", group["hooks"][0]["command"]]
        done = subprocess.run(command, input=b"{}", env=hook.environ, capture_output=True, check=False)
        assert (event, done.returncode, done.stdout, done.stderr) == (event, 0, b"", b"")
    hook.run("Stop")
    told = [envelope.headers.get("registration") for envelope in hook.captured]
    assert told.count("light") == len(registration.events_of(Registration.LIGHT))
    assert told.count(None) == 1


@pytest.mark.parametrize("interpreter", [None, "/nowhere/bin/python", "", "/", "not absolute", str(EMIT)])
def test_without_the_package_every_event_is_captured(hook: Hook, interpreter: str | None) -> None:
    if interpreter is not None:
        hook.home.interpreter.write_text(f"{interpreter}\n")
    hook.variables["PATH"] = "/usr/bin:/bin"
    for event in registration.REGISTERED:
        hook.run(event)
    assert sorted(envelope.event for envelope in hook.captured) == sorted(registration.REGISTERED)


def test_without_a_home_the_hook_is_silent_and_ends_with_0(hook: Hook) -> None:
    command = registration.command("Stop", f'"{EMIT}"')
    done = subprocess.run(
        [*hook.shell, "-c", command], input=b"{}", env={"PATH": os.environ["PATH"]}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_with_a_read_only_spool_the_hook_is_silent_and_ends_with_0(shell: list[str]) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write everywhere, and there is no setpriv to become somebody else")
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with tempfile.TemporaryDirectory() as folder:  # other users cannot enter pytest's folder
        Path(folder).chmod(0o755)
        hook = Hook(home_below(Path(folder)), shell).install()
        for path in (hook.home.root, *hook.home.root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        hook.run("Stop", b"{}", prefix)
        assert hook.captured == []
        assert hook.unfinished == []
        for path in (hook.home.root, *hook.home.root.rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize(("size", "left"), [(100, 0), (200_000, 0), (200_000, 64)], ids=["header", "full", "payload"])
def test_a_full_disk_leaves_an_empty_file_that_names_the_lost_event(
    hook: Hook, tmp_path: Path, size: int, left: int
) -> None:
    """The home is on a small tmpfs with ``left`` KiB free."""
    copy = tmp_path / "result"
    script = f"""
        STATE=$HOME/.local/state/claude-hooks-otel
        mount -t tmpfs -o size=1m,mode=700 tmpfs "$STATE" || exit 3
        cp "{EMIT}" "$STATE/emit"
        mkdir -p "$STATE/spool/tmp" "$STATE/spool/new"
        head -c {left * 1024} /dev/zero >"$STATE/room"
        cat /dev/zero >"$STATE/filler" 2>/dev/null
        rm "$STATE/room"
        "$@"
        code=$?
        cp -r "$STATE/spool" "{copy}"
        exit $code
    """
    hook.run("PostToolUse", b"x" * size, (*namespace("-m"), "sh", "-c", script, "sh"))
    [entry] = Spool(copy).take(10)
    assert isinstance(entry, Lost)
    assert (entry.event, entry.session_id) == ("PostToolUse", SESSION)
    assert list((copy / "tmp").iterdir()) == []


# -- many hooks at once ------------------------------------------------------------------------------------------------------


def test_two_hundred_hooks_at_once_lose_no_event(hook: Hook) -> None:
    running = []
    for number in range(200):
        process = subprocess.Popen(hook.arguments("PostToolUse"), stdin=subprocess.PIPE, env=hook.environ)
        running.append((process, b"%d " % number * 2000))
    for process, payload in running:
        assert process.stdin is not None
        process.stdin.write(payload)
        process.stdin.close()
    assert [process.wait(60) for process, _ in running] == [0] * 200
    assert sorted(envelope.payload for envelope in hook.captured) == sorted(payload for _, payload in running)
    assert hook.unfinished == []


def test_hooks_with_equal_process_ids_lose_no_event(hook: Hook) -> None:
    """In containers that share the spool, each hook may be process 1. Some run at once, some after others."""
    prefix = namespace("-p", "-f")
    payloads = []
    for batch in range(3):
        running = []
        for number in range(8):
            process = subprocess.Popen(
                [*prefix, *hook.arguments("PostToolUse")], stdin=subprocess.PIPE, env=hook.environ
            )
            running.append(process)
            payloads.append(b"%d.%d" % (batch, number))
        for process, payload in zip(running, payloads[-8:], strict=True):
            assert process.stdin is not None
            process.stdin.write(payload)
            process.stdin.close()
        assert [process.wait(60) for process in running] == [0] * 8
    captured = hook.captured
    assert {envelope.name.split(".")[2] for envelope in captured} == {"1"}
    assert sorted(envelope.payload for envelope in captured) == sorted(payloads)
    assert hook.unfinished == []  # an empty file would later count as a lost event


@pytest.mark.parametrize("victim", ["shell", "everything"])
def test_kills_at_random_moments_leave_only_complete_events(hook: Hook, victim: str) -> None:
    """Files in new/ are complete, whether the kill hits the shell alone or its children too. ``recover`` finds the others."""
    chance = random.Random(7)
    payload = b"0123456789" * 30_000
    sessions = set()
    for _ in range(40):
        process = subprocess.Popen(
            hook.arguments("PostToolUse"), stdin=subprocess.PIPE, env=hook.environ, start_new_session=True
        )
        sessions.add(process.pid)
        assert process.stdin is not None
        feeder = os.fork()
        if feeder == 0:  # writes the payload as far as the hook reads it
            try:
                process.stdin.write(payload)
                process.stdin.close()
            finally:
                os._exit(0)
        process.stdin.close()
        time.sleep(chance.uniform(0, 0.008))
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if victim == "everything" else os.kill)(process.pid, signal.SIGKILL)
        process.wait(10)
        os.waitpid(feeder, 0)
    wait_until(lambda: not any(_is_of(sessions, process) for process in psutil.process_iter()))
    before = len(hook.unfinished)
    with subprocess.Popen(
        hook.arguments("PostToolUse"), stdin=subprocess.PIPE, env=hook.environ, start_new_session=True
    ) as waits_for_payload:
        wait_until(lambda: len(hook.unfinished) > before)
        os.killpg(waits_for_payload.pid, signal.SIGKILL)
    assert hook.unfinished
    assert all(envelope.payload == payload for envelope in hook.captured)
    assert len(hook.captured) + len(hook.unfinished) <= 41
    spool = Spool(hook.home.spool)
    whole = len(hook.captured)
    torn = len(hook.unfinished)
    assert spool.recover(now=lambda: time.time() + 3600) == torn
    assert spool.depth() == whole + torn


# -- the daemon --------------------------------------------------------------------------------------------------------------

# A program that writes how it was started, and waits for a line if it is given a pipe. A daemon gets no variable of its session.
FAKE = '#!/bin/sh\necho "$(pwd) $*" >"/dev/fd/{started}"\nhold="{hold}"\n[ -z "$hold" ] || read -r _ <"$hold"\n'


@contextmanager
def starts(hook: Hook, hold: Path | str = "") -> Iterator[Callable[[], list[str]]]:
    """Put a program in the interpreter's place. Yields a function that waits for its end and returns the lines that it wrote."""
    reader, writer = os.pipe()
    program = hook.home.root.parent / "interpreter"
    program.write_text(FAKE.format(started=writer, hold=hold))
    program.chmod(0o755)
    hook.home.interpreter.write_text(f"{program}\n")
    os.set_inheritable(writer, True)

    def read() -> list[str]:
        os.close(writer)
        with os.fdopen(reader) as lines:
            return lines.read().splitlines()

    yield read


def run_inheriting(hook: Hook, event: str) -> None:
    done = subprocess.run(
        hook.arguments(event),
        input=b"{}",
        env=hook.environ,
        capture_output=True,
        check=False,
        close_fds=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def id_of_a_dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


START = "/ -E -P -m claude_hooks_otel.daemon"


@pytest.mark.parametrize("event", registration.REGISTERED)
def test_rare_events_replace_a_dead_daemon_and_tool_calls_do_not_check(sh_hook: Hook, event: str) -> None:
    sh_hook.home.pid.write_text(f"{id_of_a_dead_process()}\n")
    with starts(sh_hook) as started:
        run_inheriting(sh_hook, event)
        assert started() == ([START] if event in CHECKING else [])


@pytest.mark.parametrize("content", [None, "", "\n", "nonsense\n"])
def test_without_a_valid_process_id_a_daemon_is_started(hook: Hook, content: str | None) -> None:
    if content is not None:
        hook.home.pid.write_text(content)
    with starts(hook) as started:
        run_inheriting(hook, "UserPromptSubmit")
        assert started() == [START]


@pytest.mark.parametrize("event", sorted(CHECKING))
def test_a_running_daemon_is_left_alone(hook: Hook, event: str) -> None:
    """Only the start of a session checks closely. The process id can belong to another process by then, here to this one."""
    hook.home.pid.write_text(f"{os.getpid()}\n")
    with starts(hook) as started:
        run_inheriting(hook, event)
        assert started() == ([START] if event == "SessionStart" else [])


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc: a session's start asks the lock")
@pytest.mark.parametrize("name", ["claude_hooks_otel.daemon", "/usr/bin/claude-hooks-otel"])
def test_a_session_starts_no_second_daemon(hook: Hook, name: str) -> None:
    """The process table says that the process with the id is the daemon."""
    with subprocess.Popen([sys.executable, "-c", "input()", name], stdin=subprocess.PIPE) as daemon:
        hook.home.pid.write_text(f"{daemon.pid}\n")
        with starts(hook) as started:
            run_inheriting(hook, "SessionStart")
            assert started() == []
        daemon.kill()


def test_the_hook_does_not_wait_for_the_daemon(hook: Hook, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    with starts(hook, hold) as started:
        run_inheriting(hook, "SessionStart")  # returns while the daemon still waits
        assert len(hook.captured) == 1
        with hold.open("w") as release:
            release.write("\n")
        assert started() == [START]


def test_without_an_interpreter_the_hook_uses_the_command_on_the_path(hook: Hook, tmp_path: Path) -> None:
    with starts(hook) as started:
        (tmp_path / "bin").mkdir()
        (hook.home.root.parent / "interpreter").rename(tmp_path / "bin" / "claude-hooks-otel")
        hook.variables["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
        run_inheriting(hook, "SessionStart")
        assert started() == ["/ daemon --detached"]


def test_the_real_daemon_is_detached_and_gets_nothing_from_its_session(hook: Hook) -> None:
    hook.home.interpreter.write_text(f"{sys.executable}\n")
    hook.variables = {
        "ANTHROPIC_API_KEY": "k", "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:2",
        "CLAUDE_HOOKS_OTEL_CAPTURE__PROMPTS": "true", "PYTHONPATH": "/nowhere", "SSL_CERT_FILE": "/nowhere",
    }  # fmt: skip
    hook.run("SessionStart")
    with the_daemon(hook.home) as process:
        assert os.getsid(process.pid) == process.pid
        environ = process.environ()
        assert environ.keys() - {"LANG", "TZ"} == {"HOME", "PATH", "CLAUDE_HOOKS_OTEL_HOME"}
        assert process.cwd() == "/"
        assert _standard_streams(process) == {"/dev/null"}
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        run_inheriting(hook, "SessionStart")  # a second daemon cannot get the lock ...
        os.close(writer)
        assert os.read(reader, 1) == b""  # ... and has ended
        os.close(reader)
        assert int(hook.home.pid.read_text()) == process.pid


@pytest.fixture
def reaper() -> Iterator[None]:
    """Make this process the parent of daemons. The first process of a container may leave dead ones in the process table."""
    if not sys.platform.startswith("linux"):
        yield
        return
    set_child_subreaper = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
    libc = ctypes.CDLL(None)
    libc.prctl(set_child_subreaper, 1, 0, 0, 0)
    yield
    libc.prctl(set_child_subreaper, 0, 0, 0, 0)


def test_a_killed_daemon_is_replaced_at_the_next_prompt(sh_hook: Hook, reaper: None) -> None:
    sh_hook.home.interpreter.write_text(f"{sys.executable}\n")
    sh_hook.run("SessionStart")
    with the_daemon(sh_hook.home) as first:
        first.kill()
        first.wait(30)
    assert sh_hook.home.pid.read_text() == f"{first.pid}\n"
    sh_hook.run("PostToolUse")
    assert not is_running(sh_hook.home)
    sh_hook.run("UserPromptSubmit")
    with the_daemon(sh_hook.home, other_than=first.pid) as second:
        assert second.pid != first.pid


@contextmanager
def the_daemon(home: Home, other_than: int | None = None) -> Iterator[psutil.Process]:
    """Yield the running daemon of a home, and end it afterwards."""

    def pid() -> int | None:
        text = home.pid.read_text().strip() if home.pid.exists() else ""
        return int(text) if text and int(text) != other_than and is_running(home) else None

    wait_until(lambda: pid() is not None)
    found = pid()
    assert found is not None
    process = psutil.Process(found)
    try:
        yield process
    finally:
        # Before the daemon has its handler, the signal ends it at once.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        wait_until(lambda: not is_running(home))


def _standard_streams(process: psutil.Process) -> set[str]:
    folder = Path(f"/proc/{process.pid}/fd")
    if not folder.is_dir():
        pytest.skip("this system shows no open files of another process")
    return {str((folder / number).readlink()) for number in "012"}


def _is_of(sessions: set[int], process: psutil.Process) -> bool:
    """Return whether a process runs in one of the sessions. Before it becomes ``mv``, a child has no command line of its own."""
    try:
        return os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


# -- odd environments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/nowhere", ":"])
def test_a_session_without_a_usable_path_is_captured(hook: Hook, path: str) -> None:
    hook.shell = [str(shutil.which(hook.shell[0])), *hook.shell[1:]]
    hook.variables["PATH"] = path
    hook.run("PostToolUse", b'{"a": 1}')
    assert [entry.payload for entry in hook.captured] == [b'{"a": 1}']
    assert hook.unfinished == []


@pytest.mark.parametrize("length", [64, 65, 300, 100_000])
def test_an_event_of_a_session_with_a_long_id_is_captured(hook: Hook, length: int) -> None:
    hook.variables["CLAUDE_CODE_SESSION_ID"] = "x" * length
    hook.run("PostToolUse", b"{}")
    assert len(hook.captured) == 1


@pytest.mark.parametrize("how", ["option", "SHELLOPTS", "BASH_ENV", "ENV"])
def test_shell_tracing_prints_nothing(hook: Hook, tmp_path: Path, how: str) -> None:
    (tmp_path / "trace").write_text("set -x\n")
    if how == "option":
        hook.shell = [*hook.shell, "-x"]
    elif how == "SHELLOPTS":
        hook.variables["SHELLOPTS"] = "xtrace"
    else:
        hook.variables[how] = str(tmp_path / "trace")
    hook.run("PostToolUse", b"{}")
    assert len(hook.captured) == 1
