"""The daemon finds and follows transcripts, and reads each of their lines once, also over restarts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_hooks_otel import foreign_files
from claude_hooks_otel.daemon import intake
from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_transcripts import UNNAMED_AGENT
from claude_hooks_otel.facts.pricing import TokenUsage
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.metrics.outcomes import Damage
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import transcript_files, transcript_lines, transcripts
from claude_hooks_otel.sources.call_ids import call_id_of
from claude_hooks_otel.sources.transcript_files import (
    TranscriptFile,
    find_agents,
    find_main,
    read_agent_meta,
    read_lines,
)
from claude_hooks_otel.sources.transcript_lines import Line
from claude_hooks_otel.sources.transcripts import LINES_PER_BATCH, OPEN_CALLS, TranscriptBatch
from tests.support.corpus import SCENARIOS, Scenario

START = "2026-11-23T04:52:38.118Z"
START_NS = 1_795_409_558_118_000_000
SESSION = "5e55"


def line(kind: str, at: str = START, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "sessionId": SESSION, "timestamp": at} | fields).encode()


def answer(message_id: str, *content: Any, at: str = START, **usage: Any) -> bytes:
    message = {
        "id": message_id,
        "model": "claude-sonnet-4-5",
        "content": list(content),
        "usage": {"input_tokens": 1} | usage,
    }
    return line("assistant", at, message=message)


def tool_use(call: str, name: str = "Write", **tool_input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": name, "input": tool_input}


def write_call(call: str) -> dict[str, Any]:
    """A call with the file in its input. The line of its result does not repeat it."""
    return tool_use(call, "Read", file_path=f"/project/{call}.py")


def result(call: str, at: str = START, **fields: Any) -> bytes:
    block = {"type": "tool_result", "tool_use_id": call, "content": "ok"}
    response = {
        "type": "text",
        "file": {"filePath": f"/project/{call}.py", "content": "x", "numLines": 1, "startLine": 1, "totalLines": 1},
    }
    return line("user", at, message={"content": [block]}, toolUseResult=response, **fields)


def parse(raw: bytes) -> Line | None:
    """Return the only record of a line that is not damaged; None if it has none."""
    parsed = transcript_lines.parse(raw)
    assert (parsed.damage, parsed.details) == ((), ())
    assert len(parsed.records) <= 1
    return parsed.records[0] if parsed.records else None


# -- lines: usage and times ----------------------------------------------------------------------------------------------


def usage_of(**fields: Any) -> transcript_lines.Usage:
    parsed = parse(answer("m", **fields))
    assert isinstance(parsed, transcript_lines.AssistantLine)
    assert parsed.message.usage is not None
    return parsed.message.usage


@pytest.mark.parametrize(
    ("fields", "five_minutes", "one_hour"),
    [
        ({}, 0, 0),
        ({"cache_creation_input_tokens": 70}, 70, 0),
        ({"cache_creation_input_tokens": 70, "cache_creation": None}, 70, 0),
        ({"cache_creation_input_tokens": 70, "cache_creation": {}}, 70, 0),
        (
            {
                "cache_creation_input_tokens": 70,
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            },
            70,
            0,
        ),
        (
            {
                "cache_creation_input_tokens": 70,
                "cache_creation": {"ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 40},
            },
            40,
            30,
        ),
        ({"cache_creation_input_tokens": 70, "cache_creation": {"ephemeral_1h_input_tokens": 70}}, 0, 70),
        (
            {"cache_creation": {"ephemeral_1h_input_tokens": 30, "ephemeral_5m_input_tokens": 40}},
            0,
            0,
        ),  # as in the client, never more than all written tokens
    ],
)
def test_cache_writes_are_split_by_lifetime(fields: dict[str, Any], five_minutes: int, one_hour: int) -> None:
    """Tokens without a lifetime count as five minutes. No count is negative."""
    usage = usage_of(**fields)
    assert (usage.cache_write_5m, usage.cache_write_1h) == (five_minutes, one_hour)


@settings(max_examples=200)
@given(st.integers(0, int(datetime(2262, 4, 11, tzinfo=UTC).timestamp()) * 1000))
def test_times_are_exact_to_the_millisecond(milliseconds: int) -> None:
    """No float is used between the ISO text and the nanoseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    text = (
        datetime.fromtimestamp(seconds, UTC)
        .replace(microsecond=rest * 1000)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
    parsed = parse(line("user", text, message={}))
    assert parsed is not None
    assert parsed.timestamp == milliseconds * 1_000_000


def test_a_time_may_have_an_offset_and_no_fraction() -> None:
    """ISO 8601 allows both."""
    for text in (START, "2026-11-23T05:52:38.118+01:00", "2026-11-23T04:52:38.118000Z"):
        parsed = parse(line("user", text, message={}))
        assert parsed is not None
        assert parsed.timestamp == START_NS
    parsed = parse(line("user", "2026-11-23T04:52:38Z", message={}))
    assert parsed is not None
    assert parsed.timestamp == START_NS - 118_000_000


@pytest.mark.parametrize(
    "at", ["yesterday", "", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", 10**30, -1, 1.5, [], {}], ids=repr
)
def test_an_impossible_time_is_left_out(at: Any) -> None:
    """So is a time beyond the integers of the store, which would stop the whole transcript."""
    parsed = transcript_lines.parse(line("user", at, message={}))
    assert [record.timestamp for record in parsed.records] == [0]
    assert (parsed.damage, parsed.details) == ((Damage.FIELD,), ("user.timestamp:unexpected",))


# -- lines: kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["progress", "queue-operation", "summary", "Assistant", "", "file-history-snapshot"])
def test_lines_of_other_kinds_are_skipped(kind: str) -> None:
    """They need not be valid JSON, because nobody reads their content."""
    assert parse(line(kind)) is None
    assert parse(line(kind)[:-1]) is None


def test_a_kind_inside_the_content_of_a_line_does_not_count() -> None:
    """A tool may print a transcript."""
    assert parse(line("progress", content={"type": "assistant"})) is None
    assert parse(b'[{"type":"assistant"}]') is None
    assert parse(b'"\\"type\\":\\"assistant\\""') is None
    assert parse(b"") is None


@pytest.mark.parametrize(
    ("broken", "damage", "detail"),
    [
        (line("user", message={})[:-1], Damage.CUT, ""),
        (line("assistant"), Damage.FIELDS, "assistant.message:missing"),
        (line("assistant", message=None), Damage.FIELDS, "assistant.message:missing"),
        (b'{"type":"user"}', Damage.FIELDS, "user.message:missing"),
        (b'{"type":"user","message":' + b"[" * 100_000, Damage.CUT, ""),
        (b'{"type":"user","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Damage.CUT, ""),
        (b'{"type":"user","x":' + b"9" * 5000 + b"}", Damage.CUT, ""),
        (line("cost-state"), Damage.FIELDS, "cost-state.startTime:missing"),
        (line("cost-state", startTime="hunter2"), Damage.FIELDS, "cost-state.startTime:missing"),
    ],
    ids=lambda broken: repr(broken[:60]),
)
def test_a_line_that_cannot_be_read_is_counted_and_not_quoted(broken: bytes, damage: Damage, detail: str) -> None:
    """A required field is missing, or the line is not a complete record."""
    parsed = transcript_lines.parse(broken)
    assert parsed.records == ()
    assert parsed.damage[-1] == damage
    assert detail in (*parsed.details, "")
    assert "hunter2" not in str(parsed)


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_line_is_read_or_counted(data: st.DataObject) -> None:
    """Nothing else can happen."""
    whole = answer("m1", tool_use("t1"), output_tokens=7)
    start = data.draw(st.integers(0, len(whole)))
    damaged = whole[:start] + data.draw(st.binary(max_size=4)) + whole[start + data.draw(st.integers(0, 6)) :]
    parsed = transcript_lines.parse(damaged)
    if b'"type": "assistant"' in damaged:
        assert parsed.records or parsed.damage or json.loads(damaged)["type"] != "assistant"


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_line_is_readable(name: str) -> None:
    """The lines come from transcripts of the real client."""
    scenario = Scenario(name)
    for transcript in scenario.transcript_names:
        for record in scenario.transcript(transcript):
            parse(json.dumps(record).encode())  # asserts that nothing is damaged


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    folder = tmp_path / "projects"
    (folder / "-home-dev-shop").mkdir(parents=True)
    return folder


@pytest.fixture
def main(projects: Path) -> Path:
    return projects / "-home-dev-shop" / f"{SESSION}.jsonl"


def test_the_file_at_the_given_path_is_the_transcript(main: Path) -> None:
    """Before the file exists, there is no transcript."""
    assert find_main(SESSION, main) is None
    main.touch()
    assert find_main(SESSION, main) == main


def test_only_a_file_in_a_project_folder_of_the_client_is_a_transcript(main: Path, tmp_path: Path) -> None:
    """A payload may name any path, and a link may lead anywhere."""
    elsewhere = tmp_path / "data" / "shop" / main.name
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(answer("m1"))
    assert find_main(SESSION, elsewhere) is None
    main.symlink_to("/etc/passwd")
    assert list(read_lines(main, 0)) == []


def test_a_moved_file_is_found_in_its_new_project_folder(main: Path, projects: Path) -> None:
    """The client moves it when it enters a worktree. The newest file counts."""
    for name, at in (("-old", 1), ("-home-dev-shop--claude-worktrees-x", 2)):
        (projects / name).mkdir()
        (projects / name / main.name).touch()
        os.utime(projects / name / main.name, (at, at))
    assert find_main(SESSION, main) == projects / "-home-dev-shop--claude-worktrees-x" / main.name


@pytest.mark.parametrize(
    "hint",
    [
        "/nowhere/at/all/5e55.jsonl",
        "/5e55.jsonl",
        "5e55.jsonl",
        "",
        "/etc/passwd",
        "/tmp/other.jsonl",
        "projects/shop/5e55.jsonl",
        "/a\0b/5e55.jsonl",
    ],
)
def test_a_path_with_another_file_name_finds_no_transcript(hint: str) -> None:
    """A payload may name any path."""
    assert find_main(SESSION, Path(hint)) is None


@pytest.mark.parametrize("session", ["x" * 300, "*", "[!a]*", "..", "a\0b"])
def test_an_invalid_session_id_finds_no_transcript(projects: Path, session: str) -> None:
    """It is too long for a file system or has the characters of a pattern. It never finds the file of another session."""
    (projects / "-home-dev-shop" / "other.jsonl").touch()
    assert find_main(session, projects / "-away" / f"{session}.jsonl") is None


def test_transcripts_of_subagents_and_workflows_are_found(main: Path) -> None:
    """They are all files agent-*.jsonl below subagents/. The id is in the name."""
    folder = main.with_suffix("") / "subagents"
    (folder / "workflows" / "wf_1").mkdir(parents=True)
    for name in (
        "agent-b.jsonl",
        "agent-a.jsonl",
        "agent-a.meta.json",
        "notes.jsonl",
        "workflows/wf_1/agent-c.jsonl",
        "agent-d.txt",
    ):
        (folder / name).touch()
    found = list(find_agents(main))
    assert sorted(file.agent_id for file in found) == ["a", "b", "c"]
    assert {file.session_id for file in found} == {SESSION}
    assert list(find_agents(main.with_name("other.jsonl"))) == []


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"7", b"\xff", b'{"agentType": 7}', b'{"agentType": ""}'], ids=repr
)
def test_without_a_valid_meta_file_the_agent_is_unknown(tmp_path: Path, content: bytes | None) -> None:
    """The file may come later."""
    if content is not None:
        (tmp_path / "agent-a.meta.json").write_bytes(content)
    meta = read_agent_meta(tmp_path / "agent-a.jsonl")
    assert meta is None or (meta.agent_type, meta.tool_use_id, meta.parent_agent_id) == (None, None, None)


def test_a_meta_file_names_the_agent(tmp_path: Path) -> None:
    """It has the type, the call that started the agent, and the parent."""
    (tmp_path / "agent-a.meta.json").write_text(
        '{"agentType": "Explore", "toolUseId": "t", "parentAgentId": "p", "spawnDepth": 2}'
    )
    assert read_agent_meta(tmp_path / "agent-a.jsonl") == transcript_files.AgentMeta("Explore", "t", "p")


def test_agents_of_older_clients_are_next_to_the_transcript(main: Path) -> None:
    """Clients before 2.1 write them there. Their first line names the session. A first line that is not complete yet is read later."""
    main.touch()
    own, other, new = (main.parent / f"agent-{name}.jsonl" for name in ("own", "other", "new"))
    own.write_bytes(answer("a1") + b"\n" + answer("a2"))
    other.write_bytes(answer("b1").replace(SESSION.encode(), b"another"))
    new.write_bytes(answer("c1")[:20])
    assert [file.agent_id for file in find_agents(main)] == ["own"]
    new.write_bytes(answer("c1") + b"\n")
    assert [file.agent_id for file in find_agents(main)] == ["new", "own"]
    assert [file.key for file in find_agents(main)] == [(SESSION, "new"), (SESSION, "own")]
    assert [file.agent_id for file in find_agents(main.with_name("another.jsonl"))] == ["other"]


def test_an_agent_that_starts_within_one_tick_of_the_clock_is_found(main: Path) -> None:
    """The folder looks unchanged. Later, a new file changes the time of the folder."""
    now = time.time_ns()
    for name in ("first", "second"):
        (main.parent / f"agent-{name}.jsonl").write_bytes(answer("a1") + b"\n")
        os.utime(main.parent, ns=(now, now))
        assert name in [file.agent_id for file in find_agents(main)]


# -- reading lines -------------------------------------------------------------------------------------------------------


def test_a_half_written_last_line_waits(tmp_path: Path) -> None:
    """It is read once, completely, after its line break is there."""
    path = tmp_path / "t"
    path.write_bytes(b"one\ntw")
    assert list(read_lines(path, 0)) == [(b"one", 4)]
    assert list(read_lines(path, 4)) == []
    with path.open("ab") as file:
        file.write(b"o\n\nthree")
    assert list(read_lines(path, 4)) == [(b"two", 8), (b"", 9)]


@settings(max_examples=100)
@given(
    content=st.binary(max_size=60).map(lambda raw: raw.replace(b"\1", b"\n").replace(b"}", b"")),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    chunk=st.integers(1, 7),
)
def test_a_file_that_grows_between_reads_gives_complete_lines(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int], chunk: int
) -> None:
    """Each line is read once, however the file grows and wherever a chunk ends."""
    path = tmp_path_factory.mktemp("grow") / "t"
    found: list[bytes] = []
    offset = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcript_files, "CHUNK", chunk)
        for size in [*sorted(cuts), len(content)]:
            path.write_bytes(content[:size])
            for text, end in read_lines(path, offset):
                assert text is not None
                found.append(text)
                assert content[offset:end] == text + b"\n"
                offset = end
    assert found == content.split(b"\n")[:-1]


def test_a_complete_record_needs_no_line_break(tmp_path: Path) -> None:
    """A client that was killed between a record and its line break writes no more. The line break of a living one adds an empty line."""
    path = tmp_path / "t"
    path.write_bytes(b'{"a": 1}\n{"b": 2}')
    assert list(read_lines(path, 0)) == [(b'{"a": 1}', 9), (b'{"b": 2}', 17)]
    with path.open("ab") as file:
        file.write(b'\n{"c": {}')
    assert list(read_lines(path, 17)) == [(b"", 18)]


@pytest.mark.parametrize("chunk", [1, 3, 8, 64])
def test_a_line_over_the_limit_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """There is None for each part of it, and an empty line for the last one. Nothing of it is read twice, and the following lines are read."""
    monkeypatch.setattr(transcript_files, "CHUNK", chunk)
    monkeypatch.setattr(transcript_files, "LONGEST_LINE", 20)
    path = tmp_path / "t"
    path.write_bytes(b"a\n" + b"x" * 100)
    first, *parts = read_lines(path, 0)
    assert first == (b"a", 2)
    assert {text for text, _ in parts} == {None}
    end = parts[-1][1]
    assert end == path.stat().st_size
    assert list(read_lines(path, end, in_long_line=True)) == []
    with path.open("ab") as file:
        file.write(b"x" * 30 + b"\nb\nc")
    *parts, last_part, last = read_lines(path, end, in_long_line=True)
    assert {text for text, _ in parts} <= {None}
    assert (last_part, last) == ((b"", 133), (b"b", 135))


# -- following -----------------------------------------------------------------------------------------------------------


class Follower:
    """A core that follows the transcripts of one session. ``restart`` replaces it by a new one on the same store."""

    def __init__(self, folder: Path, main: Path, history_ns: int = 0) -> None:
        self.home, self.main, self.history_ns = Home(folder), main, history_ns
        self.prices: list[TokenUsage] = []
        self._open()
        with self.store.transaction():
            self.facts.identities.note(SESSION, 0, Identity("backend", "shop"))

    def _open(self) -> None:
        core = assemble_core(self.home, Config(), lambda: START_NS, history_ns=self.history_ns)
        self.store, self.facts, self.intake = core.store, core.facts, core.intake
        self.source = self.intake._transcripts
        self.intake._lines._price = self._price

    def _price(self, usage: TokenUsage, *_: Any) -> int:
        self.prices.append(usage)
        return usage.input

    def restart(self) -> None:
        self.store.close()
        self._open()

    def follow(self) -> int:
        """Follow the session, and return how many lines were read."""
        return self.intake._read_transcripts(model.Session(session_id=SESSION, transcript_path=str(self.main)))

    def take(self, batch: TranscriptBatch) -> None:
        """Take in the lines of a batch, and advance the source."""
        self.intake._take_lines(batch, is_careful=False)

    def files_read(self) -> int:
        return len(self.facts.select(model.FileTouched, "how = 'read'"))

    def requests(self) -> dict[str, int | None]:
        return {request.message_id: request.output_tokens for request in self.facts.select(model.ApiRequest)}

    def drift(self) -> dict[str, int]:
        return dict(self.store.connection.execute("SELECT name, seen FROM drift WHERE kind = 'transcript'"))

    def damage(self) -> dict[str, int]:
        query = "SELECT labels, value FROM series WHERE metric = ?"
        rows = self.store.connection.execute(query, (catalog.TRANSCRIPT_DAMAGE.name,))
        return {dict(json.loads(labels))["reason"]: value for labels, value in rows}


@pytest.fixture
def follower(tmp_path: Path, main: Path) -> Iterator[Follower]:
    main.touch()
    made = Follower(tmp_path, main)
    yield made
    made.store.close()


def append(path: Path, *lines: bytes, end: bytes = b"\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"\n".join(lines) + end)


def test_only_new_lines_are_read(follower: Follower) -> None:
    """A new process reads only new lines, too. An incomplete line is read when it is complete."""
    append(follower.main, answer("m1", output_tokens=1), answer("m2", output_tokens=2)[:-5], end=b"")
    assert follower.follow() == 1
    follower.restart()
    assert follower.follow() == 0
    append(follower.main, answer("m2", output_tokens=2)[-5:])
    assert follower.follow() == 1
    assert follower.requests() == {"m1": 1, "m2": 2}


def test_the_repeated_usage_of_an_answer_counts_once(follower: Follower) -> None:
    """Each block repeats it. While the answer still streams, its tokens grow to the last value."""
    append(
        follower.main,
        answer("m1", output_tokens=3),
        answer("m1", tool_use("t1"), output_tokens=9),
        answer("m1", output_tokens=9),
    )
    follower.follow()
    assert follower.requests() == {"m1": 9}


@pytest.mark.parametrize("between", [False, True], ids=["at once", "after other lines"])
@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_a_result_after_a_restart_belongs_to_its_call(follower: Follower, restarts: int, between: bool) -> None:
    """The line of the result does not repeat the input, which another process has read."""
    append(follower.main, answer("m1", write_call("t1"), write_call("t2")))
    follower.follow()
    if between:
        append(follower.main, result("t2"), answer("m2"))
        follower.follow()
    for _ in range(restarts):
        follower.restart()
        follower.follow()
    append(follower.main, result("t1"), *([] if between else [result("t2")]))
    follower.follow()
    assert follower.files_read() == 2
    assert {call.outcome for call in follower.facts.select(model.ToolCall)} == {"success"}


def test_a_file_that_is_replaced_by_a_shorter_one_is_read_again(follower: Follower) -> None:
    """A restore of a backup does that. Known lines change nothing."""
    append(follower.main, answer("m1", output_tokens=5), answer("m2", output_tokens=6))
    follower.follow()
    follower.main.write_bytes(answer("m1", output_tokens=5) + b"\n")
    assert follower.follow() == 1
    append(follower.main, answer("m3", output_tokens=7))
    follower.restart()
    assert follower.follow() == 1
    assert follower.requests() == {"m1": 5, "m2": 6, "m3": 7}


def test_another_file_with_the_same_name_is_read_again(follower: Follower) -> None:
    """It may also be longer than the old one. A copy has another inode."""
    append(follower.main, answer("m1"))
    follower.follow()
    copy = follower.main.with_suffix(".copy")
    append(copy, answer("m0"), answer("m1"), answer("m2"))
    copy.replace(follower.main)
    assert follower.follow() == 3
    assert follower.requests().keys() == {"m0", "m1", "m2"}


def test_a_moved_file_is_read_from_its_last_position(follower: Follower, projects: Path) -> None:
    """It moves into the project folder of a worktree during the session, with its sub-agents."""
    append(follower.main, answer("m1"))
    append(follower.main.with_suffix("") / "subagents" / "agent-a.jsonl", answer("m2"))
    assert follower.follow() == 2
    moved = projects / "-home-dev-shop--claude-worktrees-x" / follower.main.name
    moved.parent.mkdir()
    follower.main.rename(moved)
    follower.main.with_suffix("").rename(moved.with_suffix(""))
    append(moved, answer("m3"))
    append(moved.with_suffix("") / "subagents" / "agent-a.jsonl", answer("m4"))
    assert follower.follow() == 2
    assert follower.requests().keys() == {"m1", "m2", "m3", "m4"}


def test_a_transcript_path_may_never_exist(follower: Follower) -> None:
    """A resume from another directory names such a path."""
    follower.main = follower.main.with_name("5e55.jsonl.d") / "nowhere" / "5e55.jsonl"
    assert follower.follow() == 0


def test_a_later_meta_file_still_names_the_agent(follower: Follower) -> None:
    """Until then, its requests count under a general name."""
    file = follower.main.with_suffix("") / "subagents" / "agent-a1.jsonl"
    append(file, answer("m1"))
    follower.follow()
    file.with_suffix(".meta.json").write_text('{"agentType": "Explore", "toolUseId": "toolu_01A09q90qw90"}')
    append(file, answer("m2"))
    follower.follow()
    types = {request.message_id: request.agent_type for request in follower.facts.select(model.ApiRequest)}
    assert types == {"m1": UNNAMED_AGENT, "m2": "Explore"}
    agent = follower.facts.get(model.Subagent, "a1")
    assert agent is not None
    assert (agent.agent_type, agent.tool_use_id, agent.in_transcript, agent.agent, agent.project) == (
        "Explore",
        "toolu_01A09q90qw90",
        1,
        "backend",
        "shop",
    )


def test_lines_from_before_the_history_do_not_count(follower: Follower) -> None:
    """An installation does not count earlier lines. A line at the exact boundary counts."""
    follower.history_ns = START_NS
    follower.restart()
    before = "2026-11-23T04:52:38.117Z"
    append(
        follower.main,
        answer("m1", write_call("t1"), at=before),
        result("t1", before),
        answer("m2", write_call("t2")),
        result("t2"),
    )
    assert follower.follow() == 4
    assert follower.requests().keys() == {"m2"}
    assert [call_id_of(call.tool_use_id) for call in follower.facts.select(model.ToolCall)] == ["t2"]
    assert follower.files_read() == 1


UNUSUAL_LINES = [
    b"{" * 50 + b'"type":"user"',
    b'{"type":"user","message":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    line("assistant", message={"usage": 7}),
    line("system", "9999-12-31T23:59:59Z", subtype="compact_boundary", uuid="u"),
    line("system", 10**30),
    answer("m-big", input_tokens=10**30),
    answer("m-big", tool_use("t"), input_tokens=2**70),
    line("user", message={"content": [{"type": "tool_result", "tool_use_id": "t", "content": 7}, 5, None]}),
    line("assistant", message={"content": [{"type": "tool_use", "id": {}, "name": []}], "id": "m-none"}),
    line("cost-state", startTime=1e300, totalDuration=1, modelUsage={"x": {"costUSD": 1e300}}),
    b'{"type":"cost-state","sessionId":"5e55","startTime":Infinity,"modelUsage":{"x":{}}}',
    b"\xff\xfe" + line("user", message={}),
    b"\0" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("unusual", UNUSUAL_LINES, ids=lambda unusual: repr(unusual[:50]))
def test_no_line_prevents_reading_the_others(follower: Follower, unusual: bytes) -> None:
    """The lines before and after it are read, by this process and by the next one."""
    append(follower.main, answer("m1"), unusual, answer("m2"))
    assert follower.follow() == 3
    append(follower.main, unusual, answer("m3"))
    follower.restart()
    follower.follow()
    assert follower.requests().keys() == {"m1", "m2", "m3"} | ({"m-big"} if b'"m-big"' in unusual else set())


def spliced(*parts: bytes) -> bytes:
    return b"".join(parts)


@pytest.mark.parametrize(
    ("damaged", "found", "damage"),
    [
        (spliced(answer("a"), answer("b")), {"a", "b"}, {}),
        (spliced(answer("a"), b" ", answer("b"), b"\t", answer("c")), {"a", "b", "c"}, {}),
        (spliced(answer("a")[:-40], answer("b")), {"b"}, {"cut": 1}),
        (spliced(line("user", message={"content": "x" * 500})[:200], answer("b")), {"b"}, {"cut": 1}),
        (spliced(answer("a"), answer("b")[:-1]), {"a"}, {"cut": 1}),
        (spliced(answer("a")[60:], answer("b")), {"b"}, {"cut": 1}),
        (spliced(b"\0" * 300, answer("a")), {"a"}, {"nul": 1}),
        (spliced(answer("a"), b"\0" * 300), {"a"}, {"nul": 1}),
        (spliced(answer("a")[:50], b"\0" * 300, answer("b")), {"b"}, {"cut": 1, "nul": 1}),
        (answer("a", {"type": "text", "text": "caf@"}).replace(b"@", b"\xff"), {"a"}, {"encoding": 1}),
        (answer("a", {"type": "text", "text": "a@b"}).replace(b"@", b"\x07"), {"a"}, {}),
        (answer("a")[:-1], set(), {"cut": 1}),
        (line("user", message={"content": json.dumps(json.loads(answer("quoted")))})[:-1], set(), {"cut": 1}),
        (answer("a", tool_use("t\ud800")), {"a"}, {}),
    ],
)
def test_every_complete_record_of_a_damaged_line_is_read(
    follower: Follower, damaged: bytes, found: set[str], damage: dict[str, int]
) -> None:
    """A crash or a full disk leaves such lines. The line behind it is read in any case, and what is lost is counted."""
    append(follower.main, damaged, answer("behind"))
    follower.follow()
    assert follower.requests().keys() == {*found, "behind"}
    assert follower.damage() == damage


def test_damage_counts_once_although_its_line_is_read_again(follower: Follower) -> None:
    """After a restart, reading begins before the first call without a result. The damage behind it is known."""
    append(follower.main, answer("m1", write_call("t1")), answer("m2")[:-1], line("user", message={}, promptId=7))
    follower.follow()
    follower.restart()
    assert follower.follow() == 3
    assert follower.damage() == {"cut": 1, "field": 1}
    append(follower.main, answer("m3")[:-1], result("t1"))
    assert follower.follow() == 2
    assert follower.damage() == {"cut": 2, "field": 1}
    assert sum(follower.drift().values()) == 1


@pytest.mark.parametrize(("text", "width"), [("y", 1), ("é", 1), ("\u4e2d", 2), ("\U0001f600", 4)])
@pytest.mark.parametrize("escaped", [False, True])
def test_the_limit_of_a_line_is_its_size_in_memory(text: str, width: int, escaped: bool) -> None:
    """One wide character makes every other character of its text wide."""
    raw = json.dumps(text, ensure_ascii=escaped).encode()
    width = max(width, 2) if escaped and text != "y" else width  # an escaped character counts as a wide one
    longest = transcript_files.LONGEST_LINE // width
    assert not transcript_files.is_too_long(raw.ljust(longest))
    assert transcript_files.is_too_long(raw.ljust(longest + 1))


def test_a_line_over_the_limit_is_counted_once(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be written in several parts, and it may have the size of a disk."""
    monkeypatch.setattr(transcript_files, "LONGEST_LINE", 2000)
    monkeypatch.setattr(transcript_files, "CHUNK", 100)
    append(follower.main, answer("long", {"type": "text", "text": "x" * 3000}), end=b"")
    follower.follow()
    append(follower.main, b"x" * 3000, answer("behind"))
    follower.follow()
    assert follower.requests().keys() == {"behind"}
    assert follower.damage() == {"too_long": 1}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a", "b"], ["x", "b", "c"]),  # larger
        (["a", "b"], ["x"]),  # smaller
        (["a", "b"], ["x", "y"]),  # of the same size
        (["a", "b", "c"], ["b", "c", "d", "e"]),  # the first line is gone
    ],
)
def test_a_file_that_is_rewritten_in_place_is_read_again(
    follower: Follower, before: list[str], after: list[str], restarts: bool
) -> None:
    """It keeps its inode, and possibly its size. Records that are known already count once."""
    append(follower.main, *map(answer, before))
    follower.follow()
    inode = follower.main.stat().st_ino
    if restarts:
        follower.restart()
    follower.main.write_bytes(b"".join(answer(name) + b"\n" for name in after))
    os.utime(follower.main, ns=(START_NS, START_NS))
    assert follower.main.stat().st_ino == inode
    follower.follow()
    assert follower.requests().keys() == {*before, *after}


def test_a_file_that_grows_is_not_read_again(follower: Follower) -> None:
    append(follower.main, answer("a"))
    assert follower.follow() == 1
    append(follower.main, answer("b"))
    assert follower.follow() == 1
    follower.restart()
    append(follower.main, answer("c"))
    assert follower.follow() == 1
    assert follower.follow() == 0


def test_the_last_record_of_a_session_needs_no_line_break(follower: Follower) -> None:
    follower.main.write_bytes(answer("a") + b"\n" + answer("b"))
    follower.follow()
    append(follower.main, b"", answer("c"))
    follower.follow()
    assert follower.requests().keys() == {"a", "b", "c"}
    assert follower.damage() == {}


# -- the keys of requests ------------------------------------------------------------------------------------------------


def answer_line(message_id: str | None, uuid: str, parent: str | None = None, request: str | None = None) -> bytes:
    """A line of an answer, as gateways write it: with any message id, and possibly without a request id."""
    value = json.loads(answer("m"))
    value["message"]["id"] = message_id
    return json.dumps(value | {"uuid": uuid, "parentUuid": parent, "requestId": request}).encode()


@pytest.mark.parametrize("message_id", ["same", "", None])
@pytest.mark.parametrize("restarts", [False, True])
def test_requests_with_one_message_id_count_each(follower: Follower, message_id: str | None, restarts: bool) -> None:
    """A relay answers every request with one message id, or with none. The lines of one answer count once, also after a restart."""
    lines = [
        answer_line(message_id, "u1", "p1", "r1"),
        answer_line(message_id, "u2", "u1", "r1"),
        answer_line(message_id, "u3", "u2", "r2"),
        answer_line(message_id, "u4", "tool result 1"),
        answer_line(message_id, "u5", "u4"),
        answer_line(message_id, "u6", "u5"),
        answer_line(message_id, "u7", "tool result 2"),
    ]
    for raw in lines:
        append(follower.main, raw)
        follower.follow()
        if restarts:
            follower.restart()
    keys = {(request.message_id, request.answer_id) for request in follower.facts.select(model.ApiRequest)}
    assert keys == {(message_id or "", answer_id) for answer_id in ("r1", "r2", "u4", "u7")}


def test_a_copy_of_an_answer_counts_once(follower: Follower, projects: Path) -> None:
    """A fork repeats the lines of its parent, with their ids, under its own session."""
    lines = [answer_line("same", "u1", "p1", "r1"), answer_line("same", "u2", "p2"), answer_line("same", "u3", "u2")]
    append(follower.main, *lines)
    follower.follow()
    fork = follower.main.with_name("f0.jsonl")
    append(fork, *(raw.replace(SESSION.encode(), b"f0") for raw in lines), answer_line("same", "u4", "u3", "r2"))
    follower.intake._read_transcripts(model.Session(session_id="f0", transcript_path=str(fork)))
    assert len(follower.facts.select(model.ApiRequest)) == 3


def test_an_answer_that_an_older_version_has_read_counts_once(follower: Follower) -> None:
    """The older version knew only the message id."""
    with follower.store.transaction():
        follower.facts.upsert(model.ApiRequest(message_id="m1", answer_id="", session_id=SESSION, input_tokens=1))
    append(follower.main, answer_line("m1", "u1", "p1"))
    follower.follow()
    assert len(follower.facts.select(model.ApiRequest)) == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_recorded_requests_have_one_answer_id_for_each_message_id(name: str) -> None:
    """The proof for the key: the API never repeats a message id, and copies of a line keep its request id and its ``uuid``."""
    scenario = Scenario(name)
    found: dict[str, set[str]] = {}
    for transcript in scenario.transcript_names:
        for record in scenario.transcript(transcript):
            if record.get("type") == "assistant" and record["message"].get("usage") and record.get("requestId"):
                found.setdefault(record["message"]["id"], set()).add(record["requestId"])
    assert all(len(ids) == 1 for ids in found.values())


def test_a_line_that_fails_leaves_no_facts(follower: Follower) -> None:
    """What it wrote before the failure is undone. The line counts as drift and as damage."""

    def price(usage: TokenUsage, *_: Any) -> int:
        return 1 // (usage.input - 666)

    follower.intake._lines._price = price
    append(follower.main, answer("m-bad", tool_use("t-half"), input_tokens=666), answer("m1"))
    follower.follow()
    assert follower.damage() == {"error": 1}
    assert follower.facts.select(model.ToolCall) == []
    assert follower.requests().keys() == {"m1"}
    assert follower.drift() == {"assistant: error": 1}


def test_a_huge_transcript_is_read_in_several_looks(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hook events are read between looks. Nothing is read twice, and the session is paired only after the last look."""
    monkeypatch.setattr(intake, "BYTES_PER_LOOK", 1000)
    monkeypatch.setattr(transcripts, "BYTES_PER_BATCH", 300)
    append(follower.main, *(answer(f"m{number}") for number in range(30)))
    paired: list[int] = []
    monkeypatch.setattr(follower.intake._pairing, "pair", lambda *_: paired.append(len(follower.requests())))
    with follower.store.transaction():
        follower.facts.upsert(
            model.Session(session_id=SESSION, first_seen_ns=1, last_seen_ns=1, transcript_path=str(follower.main))
        )
        follower.intake._followed.hear([SESSION], START_NS)
    read = [follower.intake.follow_sessions(everything=True)]
    while follower.intake.is_behind:
        assert paired == []
        read.append(follower.intake.follow_sessions(everything=True))
    assert len(read) > 3
    assert sum(read) == 30
    assert paired == [30]
    assert follower.follow() == 0


def test_a_session_whose_file_system_hangs_is_read_when_it_answers(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it is not paired, because half of its facts are in the transcript."""
    append(follower.main, answer("m1"))
    paired: list[bool] = []
    monkeypatch.setattr(follower.intake._pairing, "pair", lambda *_: paired.append(True))
    with follower.store.transaction():
        follower.facts.upsert(
            model.Session(session_id=SESSION, first_seen_ns=1, last_seen_ns=1, transcript_path=str(follower.main))
        )
        follower.intake._followed.hear([SESSION], START_NS)
    answers = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(foreign_files, "ANSWER_TIMEOUT", 0.01)
        patch.setattr(transcripts, "find_main", lambda *_: answers.wait() and None)
        assert follower.intake.follow_sessions(everything=True) == 0
        assert follower.intake.is_behind
        assert paired == []
        answers.set()
        for helper in list(foreign_files._hanging.values()):
            helper.join()
    assert follower.intake.follow_sessions(everything=True) == 1
    assert paired == [True]


def test_a_long_transcript_is_read_in_several_transactions(follower: Follower) -> None:
    """A new process continues after the last complete batch."""
    count = 2 * LINES_PER_BATCH + 7
    append(follower.main, *(answer(f"m{number}") for number in range(count)))
    batch = next(follower.source.batches(TranscriptFile(SESSION, "", follower.main)))
    with follower.store.transaction():
        follower.take(batch)
    assert batch.count == LINES_PER_BATCH
    follower.restart()  # a kill between two batches
    assert follower.follow() == count - LINES_PER_BATCH
    assert len(follower.requests()) == count


def test_a_batch_is_read_again_after_its_transaction_failed(follower: Follower) -> None:
    """The source goes back with it."""
    append(follower.main, answer("m1", write_call("t1")), result("t1"))
    batch = next(follower.source.batches(TranscriptFile(SESSION, "", follower.main)))
    with pytest.raises(ZeroDivisionError), follower.store.transaction():
        follower.take(batch)
        raise ZeroDivisionError
    assert follower.requests() == {}
    assert follower.follow() == 2
    assert (follower.requests().keys(), follower.files_read()) == ({"m1"}, 1)


def test_calls_without_a_result_are_forgotten(follower: Follower) -> None:
    """Interrupted calls do not fill the memory. After a restart, only the lines of the newest ones are read again."""
    append(follower.main, *(answer(f"m{number}", write_call(f"t{number}")) for number in range(OPEN_CALLS + 50)))
    follower.follow()
    follower.restart()
    assert follower.follow() == OPEN_CALLS


def test_the_price_of_a_request_has_every_class_of_token(follower: Follower) -> None:
    """The usage of the answer has them."""
    append(
        follower.main,
        answer("m1", input_tokens=1, output_tokens=2, cache_read_input_tokens=3, cache_creation_input_tokens=9,
               cache_creation={"ephemeral_1h_input_tokens": 5}, server_tool_use={"web_search_requests": 6}),
    )  # fmt: skip
    follower.follow()
    assert follower.prices == [
        TokenUsage(input=1, output=2, cache_read=3, cache_write_5m=4, cache_write_1h=5, web_searches=6)
    ]


def test_messages_that_the_client_made_itself_are_no_requests(follower: Follower) -> None:
    """An API error that the client shows as an answer has a usage, but no cost."""
    message = {"id": "m1", "model": "<synthetic>", "content": [], "usage": {"input_tokens": 0}}
    append(follower.main, line("assistant", message=message, isApiErrorMessage=True))
    follower.follow()
    assert follower.requests() == {}


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"is_error": False}, "success"),
        ({}, "success"),
        ({"is_error": True}, "error"),
        ({"is_error": True, "content": "<tool_use_error>no such tool"}, "invalid"),
        ({"is_error": True, "permissionDecision": {"decision": "reject", "source": "user_reject"}}, "rejected"),
        ({"is_error": True, "permissionDecision": {"decision": "reject", "source": "config"}}, "denied"),
        ({"is_error": True, "toolDenialKind": "user-rejected", "toolDenialBeforeRun": True}, "rejected"),
        ({"is_error": True, "toolDenialKind": "user-rejected"}, "interrupted"),
        ({"is_error": True, "toolDenialKind": "permission-rule"}, "denied"),
        ({"is_error": True, "content": "Exit code 1\nboom"}, "error"),
        ({"is_error": True, "content": "Exit code 143\nCommand timed out after 2m"}, "error"),
        ({"is_error": True, "content": "Exit code 137"}, None),
        ({"is_error": True, "content": "Error: Exit code 143\nTerminated"}, None),
    ],
)
def test_the_outcome_of_a_call_comes_from_its_result(
    follower: Follower, fields: dict[str, Any], outcome: str | None
) -> None:
    """The outcomes are those of the metric."""
    block = {"type": "tool_result", "tool_use_id": "t1", "content": "x"} | {
        name: value for name, value in fields.items() if name in ("is_error", "content")
    }
    rest = {name: value for name, value in fields.items() if name not in block}
    append(follower.main, answer("m1", tool_use("t1")), line("user", message={"content": [block]}, **rest))
    follower.follow()
    (call,) = follower.facts.select(model.ToolCall)
    assert call.outcome == outcome
