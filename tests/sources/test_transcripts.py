"""Transcripts: what their lines tell, how their files are found and tailed, and that a restart in between changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.from_transcripts import UNNAMED_AGENT
from claude_hooks_otel.facts.pricing import TokenUsage
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import transcript_files, transcript_lines
from claude_hooks_otel.sources.transcript_files import (
    TranscriptFile,
    find_agents,
    find_main,
    read_agent_meta,
    read_lines,
)
from claude_hooks_otel.sources.transcript_lines import UnreadableLineError, parse
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
    """A call whose input alone tells the file: its result line does not repeat it."""
    return tool_use(call, "Read", file_path=f"/project/{call}.py")


def result(call: str, at: str = START, **fields: Any) -> bytes:
    block = {"type": "tool_result", "tool_use_id": call, "content": "ok"}
    response = {
        "type": "text",
        "file": {"filePath": f"/project/{call}.py", "content": "x", "numLines": 1, "startLine": 1, "totalLines": 1},
    }
    return line("user", at, message={"content": [block]}, toolUseResult=response, **fields)


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
        ),  # as the client: never more than was written at all
    ],
)
def test_cache_writes_are_split_by_lifetime(fields: dict[str, Any], five_minutes: int, one_hour: int) -> None:
    """What the answer does not split counts as five minutes; together they are never less than nothing."""
    usage = usage_of(**fields)
    assert (usage.cache_write_5m, usage.cache_write_1h) == (five_minutes, one_hour)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**63 // 1_000_000 - 1))
def test_times_are_exact_to_the_millisecond(milliseconds: int) -> None:
    """No float stands between the ISO text and the nanoseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    if seconds > datetime(2262, 4, 11, tzinfo=UTC).timestamp():
        return
    text = (
        datetime.fromtimestamp(seconds, UTC)
        .replace(microsecond=rest * 1000)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
    parsed = parse(line("user", text, message={}))
    assert parsed is not None
    assert parsed.timestamp == milliseconds * 1_000_000


def test_a_time_with_an_offset_or_without_fraction_is_the_same_moment() -> None:
    """As ISO 8601 has it."""
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
def test_an_impossible_time_makes_the_line_unreadable(at: Any) -> None:
    """Also one that no integer of the store could hold: it would stop the whole transcript."""
    with pytest.raises(UnreadableLineError, match="timestamp"):
        parse(line("user", at, message={}))


# -- lines: kinds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["progress", "queue-operation", "summary", "Assistant", "", "file-history-snapshot"])
def test_other_kinds_are_skipped_unread(kind: str) -> None:
    """Even if they are not complete JSON: their content is not read."""
    assert parse(line(kind)) is None
    assert parse(line(kind)[:-1]) is None


def test_a_kind_inside_content_does_not_make_a_line() -> None:
    """A tool that printed a transcript is not one."""
    assert parse(line("progress", content={"type": "assistant"})) is None
    assert parse(b'[{"type":"assistant"}]') is None
    assert parse(b'"\\"type\\":\\"assistant\\""') is None
    assert parse(b"") is None


@pytest.mark.parametrize(
    "broken",
    [
        line("user", message={})[:-1], line("assistant"), line("assistant", message=None), line("assistant", message={"usage": {"input_tokens": "many"}}),
        b'{"type":"user"}', b'{"type":"user","message":' + b"[" * 100_000, b'{"type":"user","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"user","x":' + b"9" * 5000 + b"}", b'{"type":"user"}\xff', line("cost-state"), line("cost-state", startTime="hunter2"),
    ],
    ids=lambda broken: repr(broken[:60]),
)  # fmt: skip
def test_a_broken_line_says_so_and_quotes_nothing(broken: bytes) -> None:
    """A known kind that is not what it promises: one kind of error."""
    with pytest.raises(UnreadableLineError) as raised:
        parse(broken)
    assert "hunter2" not in str(raised.value)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_line_is_read_skipped_or_unreadable(data: st.DataObject) -> None:
    """Nothing else ever happens."""
    whole = answer("m1", tool_use("t1"), output_tokens=7)
    start = data.draw(st.integers(0, len(whole)))
    damaged = whole[:start] + data.draw(st.binary(max_size=4)) + whole[start + data.draw(st.integers(0, 6)) :]
    try:
        assert parse(damaged) is None or isinstance(parse(damaged), transcript_lines.Line)
    except UnreadableLineError:
        pass


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_line_reads(name: str) -> None:
    """No line of the real client's transcripts is unreadable."""
    scenario = Scenario(name)
    for transcript in scenario.transcript_names:
        for record in scenario.transcript(transcript):
            parse(json.dumps(record).encode())


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    folder = tmp_path / "projects"
    (folder / "-home-dev-shop").mkdir(parents=True)
    return folder


@pytest.fixture
def main(projects: Path) -> Path:
    return projects / "-home-dev-shop" / f"{SESSION}.jsonl"


def test_the_hinted_file_is_taken_where_it_is(main: Path) -> None:
    """And nothing where there is none yet."""
    assert find_main(SESSION, main) is None
    main.touch()
    assert find_main(SESSION, main) == main


def test_a_moved_file_is_found_in_its_new_project_folder(main: Path, projects: Path) -> None:
    """As the client moves it when it enters a worktree; the newest one counts."""
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
        "/a\0b/5e55.jsonl",
    ],
)
def test_a_wrong_hint_finds_nothing_and_harms_nothing(hint: str) -> None:
    """A file of another name is not the session's transcript, wherever a payload says it is."""
    assert find_main(SESSION, Path(hint)) is None


@pytest.mark.parametrize("session", ["x" * 300, "*", "[!a]*", "..", "a\0b"])
def test_a_strange_session_id_finds_nothing(projects: Path, session: str) -> None:
    """Too long for a file system, or with the signs of a pattern: never somebody else's file."""
    (projects / "-home-dev-shop" / "other.jsonl").touch()
    assert find_main(session, projects / "-away" / f"{session}.jsonl") is None


def test_agents_are_found_workflows_included(main: Path) -> None:
    """Every agent-*.jsonl below subagents/, with the id in its name; nothing else."""
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
def test_a_missing_or_broken_meta_file_tells_nothing(tmp_path: Path, content: bytes | None) -> None:
    """It may come later."""
    if content is not None:
        (tmp_path / "agent-a.meta.json").write_bytes(content)
    meta = read_agent_meta(tmp_path / "agent-a.jsonl")
    assert meta is None or (meta.agent_type, meta.tool_use_id, meta.parent_agent_id) == (None, None, None)


def test_a_meta_file_names_the_agent(tmp_path: Path) -> None:
    """Its type, the call that started it, and its parent."""
    (tmp_path / "agent-a.meta.json").write_text(
        '{"agentType": "Explore", "toolUseId": "t", "parentAgentId": "p", "spawnDepth": 2}'
    )
    assert read_agent_meta(tmp_path / "agent-a.jsonl") == transcript_files.AgentMeta("Explore", "t", "p")


# -- reading lines -------------------------------------------------------------------------------------------------------


def test_a_half_written_last_line_waits(tmp_path: Path) -> None:
    """It is given once, whole, when its line break is there."""
    path = tmp_path / "t"
    path.write_bytes(b"one\ntw")
    assert list(read_lines(path, 0)) == [(b"one", 4)]
    assert list(read_lines(path, 4)) == []
    with path.open("ab") as file:
        file.write(b"o\n\nthree")
    assert list(read_lines(path, 4)) == [(b"two", 8), (b"", 9)]


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=60).map(lambda raw: raw.replace(b"\1", b"\n")),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    chunk=st.integers(1, 7),
)
def test_growth_between_reads_never_tears_a_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int], chunk: int
) -> None:
    """However the file grows, and wherever a chunk ends: the same lines, each once, and offsets that lead on."""
    path = tmp_path_factory.mktemp("grow") / "t"
    found: list[bytes] = []
    offset = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcript_files, "CHUNK", chunk)
        for size in [*sorted(cuts), len(content)]:
            path.write_bytes(content[:size])
            for text, end in read_lines(path, offset):
                found.append(text)
                assert content[offset:end] == text + b"\n"
                offset = end
    assert found == content.split(b"\n")[:-1]


@pytest.mark.parametrize("chunk", [1, 3, 8, 64])
def test_an_overlong_line_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """In its place stands an empty one; what follows is read, and it is not read again."""
    monkeypatch.setattr(transcript_files, "CHUNK", chunk)
    monkeypatch.setattr(transcript_files, "LONGEST_LINE", 20)
    path = tmp_path / "t"
    path.write_bytes(b"a\n" + b"x" * 100)
    assert [text for text, _ in read_lines(path, 0)] == [b"a"]
    assert list(read_lines(path, 2)) == []
    with path.open("ab") as file:
        file.write(b"\n")
    read = list(read_lines(path, 2))
    assert read[-1][1] == path.stat().st_size
    assert [text for text, _ in read] == [b""]
    with path.open("ab") as file:
        file.write(b"b\nc")
    assert [text for text, _ in read_lines(path, 0)][-1] == b"b"
    assert list(read_lines(path, 103)) == [(b"b", 105)]


# -- following -----------------------------------------------------------------------------------------------------------


class Desk:
    """A core that follows one session's transcripts; ``restart`` is a new process on the same store."""

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
        """How many lines were read."""
        return self.intake._read_transcripts(model.Session(session_id=SESSION, transcript_path=str(self.main)))

    def take(self, batch: TranscriptBatch) -> None:
        """Take in the lines of a batch."""
        for item in batch.items:
            self.intake._take_line(item, batch, None)

    def files_read(self) -> int:
        return len(self.facts.select(model.FileTouched, "how = 'read'"))

    def requests(self) -> dict[str, int | None]:
        return {request.message_id: request.output_tokens for request in self.facts.select(model.ApiRequest)}

    def drift(self) -> dict[str, int]:
        return dict(self.store.connection.execute("SELECT name, seen FROM drift WHERE kind = 'transcript'"))


@pytest.fixture
def desk(tmp_path: Path, main: Path) -> Iterator[Desk]:
    main.touch()
    made = Desk(tmp_path, main)
    yield made
    made.store.close()


def append(path: Path, *lines: bytes, end: bytes = b"\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"\n".join(lines) + end)


def test_only_what_is_new_is_read(desk: Desk) -> None:
    """Also by a new process; a half line is read when it is whole."""
    append(desk.main, answer("m1", output_tokens=1), answer("m2", output_tokens=2)[:-5], end=b"")
    assert desk.follow() == 1
    desk.restart()
    assert desk.follow() == 0
    append(desk.main, answer("m2", output_tokens=2)[-5:])
    assert desk.follow() == 1
    assert desk.requests() == {"m1": 1, "m2": 2}


def test_the_usage_repeated_on_each_block_counts_once(desk: Desk) -> None:
    """And while an answer still streams, its tokens grow to the last figure."""
    append(
        desk.main,
        answer("m1", output_tokens=3),
        answer("m1", tool_use("t1"), output_tokens=9),
        answer("m1", output_tokens=9),
    )
    desk.follow()
    assert desk.requests() == {"m1": 9}


@pytest.mark.parametrize("between", [False, True], ids=["at once", "after other lines"])
@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_a_result_after_a_restart_meets_its_call(desk: Desk, restarts: int, between: bool) -> None:
    """The result's line does not repeat the input: what the call did is still known, though it was read by another process."""
    append(desk.main, answer("m1", write_call("t1"), write_call("t2")))
    desk.follow()
    if between:
        append(desk.main, result("t2"), answer("m2"))
        desk.follow()
    for _ in range(restarts):
        desk.restart()
        desk.follow()
    append(desk.main, result("t1"), *([] if between else [result("t2")]))
    desk.follow()
    assert desk.files_read() == 2
    assert {call.outcome for call in desk.facts.select(model.ToolCall)} == {"success"}


def test_a_file_replaced_by_a_shorter_one_is_read_anew(desk: Desk) -> None:
    """As after a restore; what was known changes nothing."""
    append(desk.main, answer("m1", output_tokens=5), answer("m2", output_tokens=6))
    desk.follow()
    desk.main.write_bytes(answer("m1", output_tokens=5) + b"\n")
    assert desk.follow() == 1
    append(desk.main, answer("m3", output_tokens=7))
    desk.restart()
    assert desk.follow() == 1
    assert desk.requests() == {"m1": 5, "m2": 6, "m3": 7}


def test_another_file_under_the_same_name_is_read_anew(desk: Desk) -> None:
    """Longer than the old one, too: a copy has another inode."""
    append(desk.main, answer("m1"))
    desk.follow()
    copy = desk.main.with_suffix(".copy")
    append(copy, answer("m0"), answer("m1"), answer("m2"))
    copy.replace(desk.main)
    assert desk.follow() == 3
    assert desk.requests().keys() == {"m0", "m1", "m2"}


def test_a_moved_file_is_read_on(desk: Desk, projects: Path) -> None:
    """Moved into a worktree's project folder in mid-session, with its sub-agents: nothing is read twice, nothing missed."""
    append(desk.main, answer("m1"))
    append(desk.main.with_suffix("") / "subagents" / "agent-a.jsonl", answer("m2"))
    assert desk.follow() == 2
    moved = projects / "-home-dev-shop--claude-worktrees-x" / desk.main.name
    moved.parent.mkdir()
    desk.main.rename(moved)
    desk.main.with_suffix("").rename(moved.with_suffix(""))
    append(moved, answer("m3"))
    append(moved.with_suffix("") / "subagents" / "agent-a.jsonl", answer("m4"))
    assert desk.follow() == 2
    assert desk.requests().keys() == {"m1", "m2", "m3", "m4"}


def test_a_path_that_never_comes_into_being(desk: Desk) -> None:
    """A resume from another directory names one."""
    desk.main = desk.main.with_name("5e55.jsonl.d") / "nowhere" / "5e55.jsonl"
    assert desk.follow() == 0


def test_an_agent_is_known_by_its_meta_file_even_if_that_comes_later(desk: Desk) -> None:
    """Until then its requests count under a general name."""
    file = desk.main.with_suffix("") / "subagents" / "agent-a1.jsonl"
    append(file, answer("m1"))
    desk.follow()
    file.with_suffix(".meta.json").write_text('{"agentType": "Explore", "toolUseId": "t9"}')
    append(file, answer("m2"))
    desk.follow()
    types = {request.message_id: request.agent_type for request in desk.facts.select(model.ApiRequest)}
    assert types == {"m1": UNNAMED_AGENT, "m2": "Explore"}
    agent = desk.facts.get(model.Subagent, "a1")
    assert agent is not None
    assert (agent.agent_type, agent.tool_use_id, agent.in_transcript, agent.agent, agent.project) == (
        "Explore",
        "t9",
        1,
        "backend",
        "shop",
    )


def test_lines_older_than_the_history_count_nothing(desk: Desk) -> None:
    """Installing it does not count the past; the boundary itself is counted."""
    desk.history_ns = START_NS
    desk.restart()
    before = "2026-11-23T04:52:38.117Z"
    append(
        desk.main,
        answer("m1", write_call("t1"), at=before),
        result("t1", before),
        answer("m2", write_call("t2")),
        result("t2"),
    )
    assert desk.follow() == 4
    assert desk.requests().keys() == {"m2"}
    assert [call.tool_use_id for call in desk.facts.select(model.ToolCall)] == ["t2"]
    assert desk.files_read() == 1


POISON = [
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


@pytest.mark.parametrize("poison", POISON, ids=lambda poison: repr(poison[:50]))
def test_a_poison_line_does_not_stop_the_rest(desk: Desk, poison: bytes) -> None:
    """Whatever stands in a line: those before and after it are read, now and by the next process."""
    append(desk.main, answer("m1"), poison, answer("m2"))
    assert desk.follow() == 3
    append(desk.main, poison, answer("m3"))
    desk.restart()
    desk.follow()
    assert desk.requests().keys() - {"m-big"} == {"m1", "m2", "m3"}


def test_a_line_that_fails_half_way_leaves_nothing_behind(desk: Desk) -> None:
    """What it wrote before it failed is undone, and it is counted as drift."""
    append(desk.main, answer("m-big", tool_use("t-half"), input_tokens=10**30), answer("m1"))
    desk.follow()
    assert desk.facts.select(model.ToolCall) == []
    assert desk.requests().keys() == {"m1"}
    assert desk.drift() == {"assistant: error": 1}


def test_more_lines_than_a_transaction_holds(desk: Desk) -> None:
    """They come in batches, each of them resumable."""
    count = 2 * LINES_PER_BATCH + 7
    append(desk.main, *(answer(f"m{number}") for number in range(count)))
    batch = next(desk.source.batches(TranscriptFile(SESSION, "", desk.main)))
    with desk.store.transaction():
        desk.take(batch)
        desk.source.advance(batch)
    assert batch.count == LINES_PER_BATCH
    desk.restart()  # killed between two batches
    assert desk.follow() == count - LINES_PER_BATCH
    assert len(desk.requests()) == count


def test_a_batch_whose_transaction_fails_is_read_again(desk: Desk) -> None:
    """What is remembered of offsets is dropped with it."""
    append(desk.main, answer("m1", write_call("t1")), result("t1"))
    batch = next(desk.source.batches(TranscriptFile(SESSION, "", desk.main)))
    with pytest.raises(ZeroDivisionError), desk.store.transaction():
        desk.take(batch)
        desk.source.advance(batch)
        raise ZeroDivisionError
    desk.source.rewind()
    assert desk.requests() == {}
    assert desk.follow() == 2
    assert (desk.requests().keys(), desk.files_read()) == ({"m1"}, 1)


def test_calls_that_wait_for_ever_are_forgotten(desk: Desk) -> None:
    """Interrupted calls neither fill the memory nor keep a restart from reading on."""
    append(desk.main, *(answer(f"m{number}", write_call(f"t{number}")) for number in range(OPEN_CALLS + 50)))
    desk.follow()
    desk.restart()
    assert desk.follow() == OPEN_CALLS


def test_a_request_is_priced_with_every_class_of_token(desk: Desk) -> None:
    """As the answer's usage tells them."""
    append(
        desk.main,
        answer("m1", input_tokens=1, output_tokens=2, cache_read_input_tokens=3, cache_creation_input_tokens=9,
               cache_creation={"ephemeral_1h_input_tokens": 5}, server_tool_use={"web_search_requests": 6}),
    )  # fmt: skip
    desk.follow()
    assert desk.prices == [
        TokenUsage(input=1, output=2, cache_read=3, cache_write_5m=4, cache_write_1h=5, web_searches=6)
    ]


def test_messages_of_the_client_itself_are_no_requests(desk: Desk) -> None:
    """An API error shown as an answer carries usage, and nobody pays for it."""
    message = {"id": "m1", "model": "<synthetic>", "content": [], "usage": {"input_tokens": 0}}
    append(desk.main, line("assistant", message=message, isApiErrorMessage=True))
    desk.follow()
    assert desk.requests() == {}


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
    ],
)
def test_how_a_call_ended(desk: Desk, fields: dict[str, Any], outcome: str) -> None:
    """In the words of the metric."""
    block = {"type": "tool_result", "tool_use_id": "t1", "content": "x"} | {
        name: value for name, value in fields.items() if name in ("is_error", "content")
    }
    rest = {name: value for name, value in fields.items() if name not in block}
    append(desk.main, answer("m1", tool_use("t1")), line("user", message={"content": [block]}, **rest))
    desk.follow()
    call = desk.facts.get(model.ToolCall, "t1")
    assert call is not None
    assert call.outcome == outcome
