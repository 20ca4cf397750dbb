"""The recorded corpus is consistent: its transcripts, its cost states and the client's telemetry agree.

The accounting here uses only the files and none of the package, so the package's totals can be compared with it. This rule holds
for every session, requested model and class of token, and for dollars:

    telemetry = own requests in the transcripts + side requests
    side requests = sum over the session's processes of (cost state at its end - cost state at its start - own requests)

Own requests have one usage per `message.id` in the transcripts of the session and its sub-agents. Messages that a fork copied
are left out (`requestSessionId` names the session that paid). The cost state at a process's start is the session's previous one.
For a fork, it is that of the parent if both have the same `startTime`, and otherwise zero.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.corpus import FOLDER, RECORDED_PROJECTS, SCENARIOS, Scenario, replay_payload

SIZE_LIMIT = 8_000_000  # bytes that the corpus may add to a checkout
CLASSES = {  # `type` of token.usage → its name in a message's usage, in a cost state, and in an api_request record
    "input": ("input_tokens", "inputTokens", "input_tokens"),
    "output": ("output_tokens", "outputTokens", "output_tokens"),
    "cacheRead": ("cache_read_input_tokens", "cacheReadInputTokens", "cache_read_tokens"),
    "cacheCreation": ("cache_creation_input_tokens", "cacheCreationInputTokens", "cache_creation_tokens"),
}
# Pattern of model names → USD per million tokens of input, output, cache writes of 5 minutes and of 1 hour, and cache reads. The
# first match counts. This is the client's own table, derived from its api_request records. An unknown name costs as Opus 5.5.
PRICES = {
    r"opus-5-5|opus-4-1|opus-4-2025": (4, 20, 5, 8, 0.2),
    r"opus-(5|4-[5678])": (5, 25, 6.25, 10, 0.5),
    r"sonnet-5-5": (2, 10, 2.5, 4, 0.1),
    r"sonnet-5": (2, 10, 2.5, 4, 0.2),
    r"sonnet-4": (3, 15, 3.75, 6, 0.3),
    r"haiku-5-5": (0.1, 0.5, 0.125, 0.2, 0.01),
    r"haiku-4-5": (1, 5, 1.25, 2, 0.1),
    r"3-5-haiku|haiku-3-5": (0.8, 4, 1, 1.6, 0.08),
    r"fable-5-2": (8, 40, 10, 16, 0.2),
    r"fable-5|mythos-5": (10, 50, 12.5, 20, 1),
    r"": (4, 20, 5, 8, 0.2),
}

# Sessions that have either telemetry or files, each with the reason.
UNSAVED = "the session ran with --no-session-persistence, without a transcript and a cost state"
NO_TELEMETRY = "the client ran without telemetry"
SESSION_EXCEPTIONS = {
    "3067f072-dbf1-4cc6-992b-31b07dbda338": UNSAVED,
    "efc4f8aa-30c1-47c9-a6c5-1ebb509c9c38": NO_TELEMETRY,
}
# Session with cut streams → {class: tokens that its transcript does not show}. The cost state has them, and the metrics have them as
# main requests.
CUT_STREAMS = {
    "f33f9e9f-a36e-43b0-a952-cf86f2132b8c": {"input": 120, "output": 2},  # two of four dropped connections were billed
    "aa5610b3-9b90-4288-b4e8-dde35648eb83": {"output": 41},  # Escape ended two streams; their lines have output 1
}
MORE_THAN_LOGGED = {  # sessions whose metrics count requests that have no api_request record
    "5f86ac97-af22-4532-a0f9-2ed35db9311b": "--max-budget-usd ended the run before the last request was logged",
    **dict.fromkeys(CUT_STREAMS, "cut streams"),
}
WITHOUT_HOOKS = {
    "8e901532-73bb-4283-bf4e-580e2d5a91cf": "--bare runs no hooks",
    "dc297d16-25ef-4e64-9995-1eb43cb5883a": "the plugin that held the hooks was disabled",
}
# Paths in payloads without a file, each with the reason.
COMPACTION_AGENT = "a compaction announces the end of an agent that writes no transcript"
MISSING_TRANSCRIPTS = {
    "-home-dev-agent-main-project/67dd86cc-6560-43c6-9278-c22014e27135.jsonl": "--init-only: nothing was said",
    "-home-dev-resume-project/3067f072-dbf1-4cc6-992b-31b07dbda338.jsonl": UNSAVED,
    "-home-dev-resume-project/99999999-2222-4333-8444-555555555555.jsonl": "--resume of an unknown session",
    "-home-dev-resume-project-sub/2f3cdb8f-4d84-4837-b1c9-fcfebd1cbc61.jsonl": "--resume from another directory",
    "-home-dev-tui-more-project--claude-worktrees-wt1/bbd0cc0d-578d-4e68-a70d-d9812d863272.jsonl": (
        "a session in a worktree: moved back to the project's folder at its end"
    ),
}

Usage = dict[tuple[str, ...], float]  # tokens by (…, class), and dollars under the class "USD"


@dataclass(frozen=True)
class Request:
    """One answered request of a session, as its transcript has it."""

    payer: tuple[str, str, str]  # query_source, agent.name ("" for none), requested model
    time: float
    usage: Usage  # by (class,)


@dataclass
class Process:
    """One process of a session, from SessionStart to SessionEnd. A killed process has no end."""

    start: float
    end: float | None = None
    state: dict[str, Any] | None = None  # the last cost state that it wrote


@dataclass
class Session:
    """What the files contain about one session."""

    requests: list[Request] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    copied_from: str | None = None  # in a fork, the session that paid for the last copied message


def add(total: Usage, more: Usage, sign: int = 1) -> None:
    for key, amount in more.items():
        total[key] = total.get(key, 0) + sign * amount


def seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def dollars(model: str, usage: dict[str, Any]) -> float:
    """Return the cost of a request as the client computes it."""
    price = next(price for pattern, price in PRICES.items() if re.search(pattern, model))
    hour = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    tokens = (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_creation_input_tokens"] - hour,
        hour,
        usage["cache_read_input_tokens"],
    )
    cost = math.fsum(count * rate / 1e6 for count, rate in zip(tokens, price, strict=True))
    if usage.get("speed") == "fast":
        cost *= 2
    if usage.get("inference_geo") == "us":
        cost *= 1.1
    return cost + 0.01 * ((usage.get("server_tool_use") or {}).get("web_search_requests") or 0)


def session_of(transcript: str) -> str:
    """Return the session of a transcript: `<project>/<session>.jsonl` or `<project>/<session>/subagents/…`."""
    return transcript.split("/")[1].removesuffix(".jsonl")


def read_request(record: dict[str, Any], source: str) -> Request:
    message, model = record["message"], record["requestedModel"]
    usage: Usage = {(name,): message["usage"][keys[0]] for name, keys in CLASSES.items()}
    usage["USD",] = dollars(model, message["usage"])
    return Request((source, record.get("attributionAgent") or "", model), seconds(record["timestamp"]), usage)


def read_processes(scenario: Scenario) -> dict[str, list[Process]]:
    processes: dict[str, list[Process]] = defaultdict(list)
    for hook in scenario.hooks:
        fields = hook.fields
        of_session = processes[fields["session_id"]]
        if hook.event == "SessionStart" and fields["source"] != "compact":
            of_session.append(Process(hook.t))
        elif hook.event == "SessionEnd" and of_session:
            of_session[-1].end = hook.t
    return processes


def read_sessions(scenario: Scenario) -> dict[str, Session]:
    """Read every session's own requests and the cost state that each of its processes left."""
    sessions: dict[str, Session] = defaultdict(Session)
    for identifier, processes in read_processes(scenario).items():
        sessions[identifier].processes = processes
    for name in sorted(scenario.transcript_names):
        identifier = session_of(name)
        if identifier in WITHOUT_HOOKS:
            sessions[identifier].processes = [Process(-math.inf, math.inf)]
        session, source = sessions[identifier], "subagent" if "/subagents/" in name else "main"
        seen: set[str] = set()
        latest = 0.0
        for record in scenario.transcript(name):
            if isinstance(timestamp := record.get("timestamp"), str):
                latest = max(latest, seconds(timestamp))
            if record["type"] == "cost-state":
                # A cost state has no time. The process that ended first after the preceding line wrote it.
                writer = next(process for process in session.processes if process.end and process.end >= latest)
                writer.state = record
            elif record["type"] == "assistant" and record["message"]["model"] != "<synthetic>":
                paid_by = record.get("requestSessionId") or identifier
                if paid_by != identifier:
                    session.copied_from = paid_by
                elif record["message"]["id"] not in seen:
                    seen.add(record["message"]["id"])
                    session.requests.append(read_request(record, source))
    return sessions


def spent(state: dict[str, Any]) -> Usage:
    """Return a cost state's tokens and dollars by (model, class)."""
    usage: Usage = {}
    for model, of_model in state["modelUsage"].items():
        usage.update({(model, name): of_model[keys[1]] for name, keys in CLASSES.items()})
        usage[model, "USD"] = of_model["costUSD"]
    return usage


def inherited(sessions: dict[str, Session], identifier: str, process: Process) -> Usage:
    """Return the part of a session's first cost state that comes from its parent: the parent's last one when the fork began."""
    assert process.state is not None
    earlier = [
        (other == sessions[identifier].copied_from, ended.end, ended.state)
        for other, session in sessions.items()
        for ended in session.processes
        if other != identifier and ended.state is not None and ended.end is not None and ended.end <= process.start
        if ended.state["startTime"] == process.state["startTime"]
    ]
    return spent(max(earlier, key=lambda item: item[:2])[2]) if earlier else {}


def side_requests(sessions: dict[str, Session], identifier: str) -> Usage:
    """Return what a session's cost states have in addition to its transcripts, by (model, class)."""
    session, before = sessions[identifier], None
    sides: Usage = defaultdict(float)
    for process in session.processes:
        if process.state is None or process.end is None:
            continue
        if before is None:
            before = inherited(sessions, identifier, process)
        after = spent(process.state)
        add(sides, after)
        add(sides, before, sign=-1)
        for request in session.requests:
            if process.start <= request.time <= process.end:
                add(sides, {(request.payer[2], *name): amount for name, amount in request.usage.items()}, sign=-1)
        before = after
    return sides


def telemetry(of_session: dict[str, Any]) -> Usage:
    """Return the client's own metrics by (query_source, agent.name, model, class)."""
    metrics = of_session.get("metrics", {})
    return {
        (point["query_source"], point.get("agent.name", ""), point["model"], point.get("type", "USD")): point["value"]
        for name in ("token.usage", "cost.usage")
        for point in metrics.get(name, ())
    }


def files(sessions: dict[str, Session], identifier: str) -> Usage:
    """Return the usage in the files, under the same keys as `telemetry`."""
    total: Usage = defaultdict(float)
    for request in sessions[identifier].requests:
        add(total, {(*request.payer, *name): amount for name, amount in request.usage.items()})
    # The numbers do not distinguish cut streams from side requests. The client counts cut streams as main.
    source = "main" if identifier in CUT_STREAMS else "auxiliary"
    add(total, {(source, "", *key): amount for key, amount in side_requests(sessions, identifier).items()})
    return total


def significant(usage: Usage) -> Usage:
    """Leave out zeros, and round dollars to a millionth of a cent. Only the order of additions makes smaller differences."""
    rounded = {key: round(amount, 8) if key[-1] == "USD" else amount for key, amount in usage.items()}
    return {key: amount for key, amount in rounded.items() if amount}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_recorded_path_has_an_unpacked_file(name: str, tmp_path: Path) -> None:
    """Some transcripts never existed, each for a known reason."""
    scenario = Scenario(name)
    scenario.write_transcripts(tmp_path)
    missing = set()
    for hook in scenario.hooks:
        recorded, replayed = hook.fields, json.loads(replay_payload(hook, tmp_path))
        for key in {"transcript_path", "agent_transcript_path"} & recorded.keys():
            path = Path(replayed.pop(key))
            assert recorded.pop(key) == RECORDED_PROJECTS + path.relative_to(tmp_path).as_posix()
            if not path.is_file() and not (hook.event == "SubagentStop" and not recorded["agent_type"]):
                missing.add(path.relative_to(tmp_path).as_posix())
        assert replayed == recorded
    assert missing == {path for path in MISSING_TRANSCRIPTS if path.startswith(f"-home-dev-{name}-project")}


def test_every_session_with_a_transcript_has_hook_events() -> None:
    """Some sessions ran without hooks, each for a known reason."""
    unseen = set()
    for scenario in map(Scenario, SCENARIOS):
        seen = {hook.fields["session_id"] for hook in scenario.hooks}
        unseen |= {session_of(transcript) for transcript in scenario.transcript_names} - seen
    assert unseen == WITHOUT_HOOKS.keys()


def test_argument_and_payload_name_the_same_event() -> None:
    for name in SCENARIOS:
        for hook in Scenario(name).hooks:
            assert hook.event == hook.fields["hook_event_name"]


def test_unpacked_transcripts_hold_the_same_records(tmp_path: Path) -> None:
    scenario = Scenario("subagents")
    scenario.write_transcripts(tmp_path)
    unpacked = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl")}
    assert unpacked == scenario.transcript_names
    for name in unpacked:
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == scenario.transcript(name)


def test_the_corpus_is_small_and_its_bytes_depend_only_on_its_content() -> None:
    """Making the corpus again changes no byte, because no gzip header has a time or a name."""
    paths = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < SIZE_LIMIT
    headers = {path.read_bytes()[3:10] for path in paths if path.suffix == ".gz"}
    assert headers == {bytes((0, 0, 0, 0, 0, 2, 255))}  # no flags, no time, best compression, no operating system


def test_the_corpus_holds_no_path_of_the_machine_and_no_token() -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            raw = path.read_bytes()
            text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
            assert not re.search(r"(?<![\w/.-])/(root|work|opt|Users|srv|mnt)/", text), path
            assert not re.search(r"MESSAGING_TOKEN(?!=0{32})", text), path


@pytest.mark.parametrize("name", SCENARIOS)
def test_api_request_records_never_exceed_the_metrics(name: str) -> None:
    """Metrics count every request that has a log record. Only interrupted requests have none."""
    for identifier, of_session in Scenario(name).truth["sessions"].items():
        logged, counted = dict.fromkeys(CLASSES, 0), dict.fromkeys(CLASSES, 0)
        for record in of_session.get("api_request", ()):
            for kind, names in CLASSES.items():
                logged[kind] += record[names[2]]
        for key, amount in telemetry(of_session).items():
            if key[-1] != "USD":
                counted[key[-1]] += int(amount)
        if identifier in MORE_THAN_LOGGED:
            assert logged != counted
            assert all(logged[kind] <= counted[kind] for kind in CLASSES)
        else:
            assert logged == counted


def test_the_model_label_is_the_requested_one() -> None:
    """If a model answers under another name, the requested name counts and decides the price."""
    scenario = Scenario("models")
    renamed = 0
    for name in sorted(scenario.transcript_names):
        for record in scenario.transcript(name):
            if record["type"] == "assistant" and record["message"]["model"] != record["requestedModel"]:
                labels = {key[2] for key in telemetry(scenario.truth["sessions"][session_of(name)])}
                assert record["requestedModel"] in labels
                renamed += 1
    assert renamed


@pytest.mark.parametrize("name", SCENARIOS)
def test_transcripts_and_cost_states_add_up_to_the_telemetry(name: str) -> None:
    """They are compared by session, source, agent and requested model: tokens exactly, and dollars."""
    scenario = Scenario(name)
    sessions = read_sessions(scenario)
    reported = {identifier: significant(telemetry(of)) for identifier, of in scenario.truth["sessions"].items()}
    compared = (set(sessions) | set(reported)) - set(SESSION_EXCEPTIONS)
    computed = {identifier: significant(files(sessions, identifier)) for identifier in sorted(compared)}
    assert computed == {identifier: reported.get(identifier, {}) for identifier in sorted(compared)}


@pytest.mark.parametrize(("identifier", "missing"), CUT_STREAMS.items())
def test_cut_streams_cost_more_than_their_transcript_shows(identifier: str, missing: dict[str, int]) -> None:
    """The difference is exactly the listed one."""
    scenario = next(s for s in map(Scenario, SCENARIOS) if identifier in s.truth["sessions"])
    sides = significant(side_requests(read_sessions(scenario), identifier))
    assert {name: amount for (_, name), amount in sides.items() if name != "USD"} == missing


@pytest.mark.parametrize(("identifier", "reason"), SESSION_EXCEPTIONS.items())
def test_each_excepted_session_has_either_files_or_telemetry(identifier: str, reason: str) -> None:
    scenario = next(s for s in map(Scenario, SCENARIOS) if any(h.fields["session_id"] == identifier for h in s.hooks))
    has_files = any(identifier in name for name in scenario.transcript_names)
    has_telemetry = bool(telemetry(scenario.truth["sessions"].get(identifier, {})))
    assert (has_files, has_telemetry) == {UNSAVED: (False, True), NO_TELEMETRY: (True, False)}[reason]
