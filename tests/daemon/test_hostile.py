"""No file that an event or a repository names, and no answer of an endpoint, stops the daemon or fills its memory."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.home.flush_requests import FlushAnswer, request_flush
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.connection import connect
from tests.support import hostile_files as files
from tests.support.hostile_server import GRPC, HTTP, OK_GRPC, OK_HTTP, Answer, HostileServer
from tests.support.real_daemon import Installation, wait_until

# Kilobytes of memory that the daemon may need at its peak.
MOST_MEMORY = 120 * 1024
# Seconds in which a test expects an answer. The daemon takes a few; a busy machine takes longer.
PATIENT = 60.0

Make = Callable[[Path], Any]


class Target:
    """A running daemon, and sessions that name files to it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.installation = Installation(folder, {"OTEL_EXPORTER_OTLP_TIMEOUT": "1000", **environ})
        self.pid = self.installation.start()

    def play(self, project: Path, transcript: Path | str, session: str | None = None) -> str:
        """Capture a session in a project, which commits something. Return its id."""
        session = session or str(uuid.uuid4())

        call = {
            "tool_name": "Bash",
            "tool_use_id": f"toolu_{session}",
            "tool_input": {"command": "git commit -m x"},
            "tool_response": {"stdout": "", "stderr": ""},
            "duration_ms": 1000,
        }
        events: dict[str, dict[str, Any]] = {
            "SessionStart": {"source": "startup"},
            "UserPromptSubmit": {"prompt": "commit", "prompt_id": f"prompt-{session}"},
            "PostToolUse": call,
            "SessionEnd": {"reason": "other"},
        }
        for event, fields in events.items():
            common = {"session_id": session, "transcript_path": str(transcript), "cwd": str(project)}
            payload = json.dumps(common | {"hook_event_name": event} | fields).encode()
            Spool(self.installation.home.spool).write(event, {}, payload)
        return session

    def play_honestly(self) -> str:
        """Capture a session of an empty folder."""
        project = self.folder / "honest"
        project.mkdir(exist_ok=True)
        return self.play(project, self.folder / "config" / "projects" / "honest" / "none.jsonl")

    def has(self, table: str, session: str) -> bool:
        """Return whether a table of the store has something of a session."""
        with contextlib.closing(connect(self.installation.home.store, readonly=True)) as connection:
            try:
                query = f"SELECT COUNT(*) FROM {table} WHERE session_id = ?"
                return bool(connection.execute(query, (session,)).fetchone()[0])
            except sqlite3.OperationalError:
                return False  # the daemon has just begun

    def flush(self) -> FlushAnswer:
        begin = time.monotonic()
        answer = request_flush(self.installation.home, PATIENT)
        print(f"answered after {time.monotonic() - begin:.1f} s")
        return answer

    def assert_goes_on(self) -> None:
        """Assert that the daemon takes in what comes next, answers, and has never needed much memory."""
        self.wait_for(self.play_honestly())
        assert self.peak() < MOST_MEMORY
        print(f"{self.peak() / 1024:.0f} MB")  # with -rP: for docs/reliability.md

    def wait_for(self, session: str) -> None:
        """Wait until the daemon has taken a session in."""
        begin = time.monotonic()
        wait_until(lambda: self.has("tool_call", session), PATIENT)
        print(f"taken in after {time.monotonic() - begin:.1f} s")

    def forget_peak(self) -> None:
        """Begin to measure the memory again (proc_pid_clear_refs(5)), so that a failure names its own cause only."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def peak(self) -> int:
        """Return the most memory that the daemon has needed, in kilobytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One daemon for all hostile files: it has to survive them one after the other."""
    made = Target(tmp_path_factory.mktemp("files"))
    yield made
    made.installation.close()


# -- files ---------------------------------------------------------------------------------------------------------------


def _git(folder: Path) -> Path:
    """Make the folders of a repository. Return the git directory."""
    git = folder / ".git"
    for part in ("objects", "refs", "logs/refs/heads"):
        (git / part).mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    return git


def _git_part(part: str, make: Make) -> Make:
    def prepare(folder: Path) -> None:
        path = _git(folder) / part
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return prepare


def _instead_of_git(make: Make) -> Make:
    return lambda folder: make(folder / ".git")


def _writes(content: bytes) -> Make:
    return lambda path: path.write_bytes(content)


def _many_branches(path: Path) -> None:
    for number in range(30_000):
        (path / f"b{number}").touch()


def _link_to_parent(path: Path) -> None:
    path.symlink_to("..", target_is_directory=True)


def _deep_folders(path: Path) -> None:
    here = path
    for _ in range(400):
        here /= "d"
    here.mkdir(parents=True)


REFLOG_ENTRY = b"%s %s A <a@b> 1700000000 +0000\tcommit: x\n" % (b"0" * 40, b"1" * 40)
_ON_GIT: dict[str, Make] = {
    **{f"config: {make.__name__}": _git_part("config", make) for make in files.EVERYWHERE},
    **{f"reflog: {make.__name__}": _git_part("logs/HEAD", make) for make in files.EVERYWHERE},
    **{f"commondir: {make.__name__}": _git_part("commondir", make) for make in files.EVERYWHERE},
    **{f".git: {make.__name__}": _instead_of_git(make) for make in files.EVERYWHERE},
    "config: 200 kB of sections": _git_part("config", _writes(b"[a]\n\tb\n" * 25_000)),
    "config: 200 kB of one value": _git_part("config", _writes(b'[remote "origin"]\n\turl = ' + b"\\\n x" * 50_000)),
    "config: blanks": _git_part("config", _writes(b'[remote "origin"]\nurl = x' + b" " * 100_000 + b"y")),
    "reflog: 20 MB of entries": _git_part("logs/HEAD", _writes(REFLOG_ENTRY * 160_000)),
    "reflog: 20 MB of line breaks": _git_part("logs/HEAD", _writes(b"\n" * 20_000_000)),
    "reflog: one line of 20 MB": _git_part("logs/HEAD", _writes(REFLOG_ENTRY[:-1] + b"> 1 +0" * 3_000_000)),
    "branch: fifo": _git_part("logs/refs/heads/main", files.fifo),
    "branch: huge": _git_part("logs/refs/heads/main", files.huge),
    "branch: device": _git_part("logs/refs/heads/main", files.device),
    "branches: 30,000": _git_part("logs/refs/heads", _many_branches),
    "branches: a link to their own folder": _git_part("logs/refs/heads/again", _link_to_parent),
    "branches: 400 folders deep": _git_part("logs/refs/heads/d", _deep_folders),
    ".git: names itself": _instead_of_git(_writes(b"gitdir: .git")),
    ".git: names the devices": _instead_of_git(_writes(b"gitdir: /dev")),
    ".git: names a process": _instead_of_git(_writes(b"gitdir: /proc/self")),
    ".git: names NUL": _instead_of_git(_writes(b"gitdir: a\0b")),
    ".git: names 8 kB": _instead_of_git(_writes(b"gitdir: " + b"x/" * 4000)),
    "commondir: names itself": _git_part("commondir", _writes(b"commondir")),
}


class Place:
    """Where a client keeps the transcripts of one session."""

    def __init__(self, folder: Path) -> None:
        self.session = str(uuid.uuid4())
        self.main = folder / "config" / "projects" / "shop" / f"{self.session}.jsonl"
        self.agents = self.main.with_suffix("") / "subagents"
        self.agents.mkdir(parents=True)
        self.has_answer = False

    def line(self) -> bytes:
        return json.dumps({"type": "user", "sessionId": self.session, "message": {"content": "x"}}).encode() + b"\n"

    def add_honest_agent(self) -> None:
        """Write the transcript of an agent with an answer. It comes after the hostile files."""
        self.has_answer = True
        message = {
            "id": f"msg-{self.session}",
            "model": "claude-sonnet-4-5",
            "content": [],
            "usage": {"input_tokens": 1},
        }
        at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
        line = {"type": "assistant", "sessionId": self.session, "timestamp": at, "requestId": "r", "message": message}
        (self.agents / "agent-z.jsonl").write_text(f"{json.dumps(line)}\n")


def _main(make: Make) -> Callable[[Place], None]:
    return lambda place: make(place.main)


def _in_agents(name: str, make: Make) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.main.write_bytes(place.line())
        place.add_honest_agent()
        (place.agents / "agent-a.jsonl").write_bytes(place.line())
        path = place.agents / name
        path.unlink(missing_ok=True)
        make(path)

    return prepare


def _beside(make: Make) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.main.write_bytes(place.line())
        place.add_honest_agent()
        make(place.main.with_name("agent-b.jsonl"))

    return prepare


def _instead_of_agents(make: Make) -> Callable[[Place], None]:
    def prepare(place: Place) -> None:
        place.main.write_bytes(place.line())
        place.agents.rmdir()
        make(place.agents)

    return prepare


_ON_TRANSCRIPTS: dict[str, Callable[[Place], None]] = {
    **{f"transcript: {make.__name__}": _main(make) for make in files.EVERYWHERE},
    **{f"agent: {make.__name__}": _in_agents("agent-a.jsonl", make) for make in files.EVERYWHERE},
    **{f"meta file: {make.__name__}": _in_agents("agent-a.meta.json", make) for make in files.EVERYWHERE},
    **{f"agent beside: {make.__name__}": _beside(make) for make in files.EVERYWHERE},
    **{f"agents: {make.__name__}": _instead_of_agents(make) for make in (files.fifo, files.circle, files.device)},
    "transcript: a record of 50 GB": _main(files.huge_record),
    "transcript: a long line": _main(files.large_line),
    "transcript: a long line in ASCII": _main(files.large_ascii_line),
    "transcript: a line that is too long": _main(files.too_large_line),
    "transcript: many long lines": _main(files.many_large_lines),
    "transcript: nested records": _main(files.nested_records),
    "meta file: a long number": _in_agents("agent-a.meta.json", files.number),
    "agents: 30,000 of them": _in_agents("more", lambda path: (path.mkdir(), _many_branches(path))),
    "agents: a link to their own folder": _in_agents("again", _link_to_parent),
}
_PATHS = (
    "/etc/shadow", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/kmsg", "/", "", ".", "relative.jsonl", "/a\0b/x.jsonl",
    "/projects/x/" + "y" * 5000, "~/x.jsonl", "//host/share/x.jsonl", "\ud800.jsonl",
)  # fmt: skip
# These are in the normal run.
_FEW_FILES = ("config: fifo", "reflog: fifo", "commondir: fifo")
_FEW_TRANSCRIPTS = ("transcript: fifo", "meta file: fifo", "meta file: nested", "agent: device", "transcript: huge")
_FEW_HTTP = ("gzip bomb with 503 Service Unavailable", "dripping body with 200", "garbage as protobuf")
_FEW_GRPC = ("message of 60 kB", "gzip bomb")


def _kinds(kinds: Any, few: tuple[str, ...]) -> pytest.MarkDecorator:
    """Parametrize a test with all kinds. All but a few are slow."""
    params = [pytest.param(kind, marks=() if kind in few else pytest.mark.slow) for kind in kinds]
    return pytest.mark.parametrize("kind", params, ids=lambda kind: kind[:60].encode("ascii", "replace").decode())


def _prepared(make: Callable[[], None]) -> None:
    try:
        make()
    except PermissionError as error:
        pytest.skip(f"this user cannot make it: {error}")


@_kinds(_ON_GIT, _FEW_FILES)
def test_the_daemon_goes_on_after_any_repository(target: Target, tmp_path: Path, kind: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    target.forget_peak()
    _prepared(lambda: _ON_GIT[kind](project))
    session = target.play(project, tmp_path / "projects" / "x" / "none.jsonl")
    target.wait_for(session)
    target.assert_goes_on()


@_kinds(_ON_TRANSCRIPTS, _FEW_TRANSCRIPTS)
def test_the_daemon_goes_on_after_any_transcript(target: Target, tmp_path: Path, kind: str) -> None:
    place = Place(tmp_path)
    target.forget_peak()
    _prepared(lambda: _ON_TRANSCRIPTS[kind](place))
    session = target.play(tmp_path, place.main, place.session)
    target.wait_for(session)
    if place.has_answer:
        wait_until(lambda: target.has("api_request", session), PATIENT)
    target.assert_goes_on()


@_kinds(_PATHS, ())
def test_the_daemon_goes_on_after_any_path_of_a_transcript(target: Target, tmp_path: Path, kind: str) -> None:
    session = target.play(tmp_path, kind)
    target.wait_for(session)
    target.assert_goes_on()


def test_the_daemon_answers_a_flush_after_hostile_files(target: Target) -> None:
    """Also while a transcript of 50 GB is left to read."""
    place = Place(target.folder / "huge")
    files.huge_record(place.main)
    target.play(target.folder, place.main, place.session)
    target.assert_goes_on()
    answer = target.flush()
    assert answer.is_behind
    assert answer.exporters == {}


# -- answers -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, HostileServer]]:
    with HostileServer(OK_HTTP) as http, HostileServer(OK_GRPC) as grpc:
        yield {"http/protobuf": http, "grpc": grpc}


@pytest.fixture(scope="module")
def exporting(
    servers: dict[str, HostileServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Target]]:
    """Return a function that gives the daemon for a protocol."""
    made: dict[str, Target] = {}

    def of(protocol: str) -> Target:
        if protocol not in made:
            endpoint = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": servers[protocol].url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_LOGS_EXPORTER": "otlp",
                "OTEL_TRACES_EXPORTER": "otlp",
            }
            made[protocol] = Target(tmp_path_factory.mktemp("answers"), **endpoint)
            assert made[protocol].flush().ok
        return made[protocol]

    yield of
    for target in made.values():
        target.installation.close()


def _answers(target: Target, server: HostileServer, answer: Answer, honest: Answer) -> None:
    """Let the server give an answer to every signal, and then be honest. The daemon goes on, and everything is delivered."""
    target.forget_peak()
    target.play_honestly()
    server.behave(answer)
    seen = server.requests
    target.flush()
    assert server.requests > seen
    target.assert_goes_on()
    server.behave(honest)
    wait_until(
        lambda: target.flush().ok, PATIENT
    )  # the first requests may meet connections that the server has just ended
    assert target.peak() < MOST_MEMORY


@_kinds(HTTP, _FEW_HTTP)
def test_the_daemon_goes_on_after_any_answer_over_http(
    exporting: Callable[[str], Target], servers: dict[str, HostileServer], kind: str
) -> None:
    protocol = "http/protobuf"
    _answers(exporting(protocol), servers[protocol], HTTP[kind], OK_HTTP)


@_kinds(GRPC, _FEW_GRPC)
def test_the_daemon_goes_on_after_any_answer_over_grpc(
    exporting: Callable[[str], Target], servers: dict[str, HostileServer], kind: str
) -> None:
    protocol = "grpc"
    _answers(exporting(protocol), servers[protocol], GRPC[kind], OK_GRPC)
