"""A turn is a trace of its own, or belongs to its caller's trace if the configuration says so."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.projects import repository_name
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.envelope import Envelope, decode
from claude_hooks_otel.traces.turn_trace import TraceParent, trace_of
from tests.support.corpus import Scenario
from tests.support.exported_replay import ExportedReplay
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import attributes, log_records, spans
from tests.support.replay import Replay

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = f"{CALLER[:-2]}00"
FOLLOWED: Any = {"traces": {"follow_traceparent": True}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CALLER, TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True)),
        (UNSAMPLED, TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False)),
        (
            f"cc{CALLER[2:]}-what-the-future-adds",
            TraceParent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True),
        ),
        ("", None),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", None),
        (f"{CALLER}-more", None),
        (f"ff{CALLER[2:]}", None),
        (CALLER.upper(), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        (f"{CALLER}\n", None),
        ("ü" * 55, None),
    ],
)
def test_a_traceparent_is_read_as_w3c_defines_it(text: str, found: TraceParent | None) -> None:
    assert TraceParent.parse(text) == found


def test_a_turn_is_in_its_callers_trace_only_if_that_is_configured() -> None:
    turn = model.Turn(prompt_id="p", session_id="s", traceparent=CALLER)
    own, followed = trace_of(turn), trace_of(turn, follow_traceparent=True)
    assert (own.parent, own.root_id) == (None, followed.root_id)
    assert followed.trace_id == 0x0AF7651916CD43DD8448EB211C80319C != own.trace_id
    broken = model.Turn(prompt_id="p", session_id="s", traceparent="nonsense")
    assert trace_of(broken, follow_traceparent=True) == own


class ReplayInTrace(ExportedReplay):
    """A replay of a client that was started in a trace."""

    traceparent = CALLER

    def spool(self, hooks: Any, copy: str = "") -> None:
        super().spool(hooks, copy)
        for path in (self.home.spool / "new").iterdir():
            envelope = decode(path.name, 0, path.read_bytes())
            headers = {**envelope.headers, "traceparent": self.traceparent}
            path.write_bytes(Envelope(envelope.name, 0, envelope.event, headers, envelope.payload).encode())


def _played(
    folder: Path, receiver: OtlpReceiver, kind: type[ReplayInTrace], config: Config, **variables: str
) -> list[dict[str, Any]]:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    replay = kind(Scenario("basic-edit"), folder, given | variables, config)
    assert replay.play().ok
    replay.daemon.close()
    return [
        {"trace": span.trace_id.hex(), "parent": span.parent_span_id.hex(), "flags": span.flags, **attributes(span)}
        for span in spans(receiver)
    ]


def test_with_follow_traceparent_all_spans_and_events_of_a_turn_are_in_the_callers_trace(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    found = _played(tmp_path, otlp_receiver, ReplayInTrace, Config(**FOLLOWED))
    assert {span["trace"] for span in found} == {CALLER.split("-")[1]}
    (root,) = [span for span in found if "claude.prompt.id" in span]
    assert root["parent"] == CALLER.split("-")[2]
    assert root["flags"] & 0x300 == 0x300  # the flags say that the parent is remote
    assert {record.trace_id.hex() for record in log_records(otlp_receiver) if record.trace_id} == {CALLER.split("-")[1]}


def test_by_default_nothing_of_the_callers_trace_is_sent(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    found = _played(tmp_path, otlp_receiver, ReplayInTrace, Config())
    assert found
    wire = b"".join(otlp_receiver.raw_bodies)
    for part in CALLER.split("-")[1:3]:
        assert part.encode() not in wire
        assert bytes.fromhex(part) not in wire


def test_by_default_a_turn_of_an_unsampled_caller_is_not_sent(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """The default sampler follows the parent's decision."""

    class Unsampled(ReplayInTrace):
        traceparent = UNSAMPLED

    assert _played(tmp_path / "one", otlp_receiver, Unsampled, Config(**FOLLOWED)) == []
    assert _played(tmp_path / "two", otlp_receiver, Unsampled, Config(**FOLLOWED), OTEL_TRACES_SAMPLER="always_on")


@pytest.mark.parametrize(
    ("variables", "flags"),
    [
        ({}, 1),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0),
        ({"OTEL_TRACES_EXPORTER": "none"}, 0),
    ],
)
def test_the_flags_of_a_log_event_say_whether_its_span_is_sent(
    variables: dict[str, str], flags: int, tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    found = _played(tmp_path, otlp_receiver, ReplayInTrace, Config(), **variables)
    assert bool(found) is bool(flags)
    assert {record.flags for record in log_records(otlp_receiver) if record.trace_id} == {flags}


# -- repository and branch -------------------------------------------------------------------------------------------------------


def test_a_turn_has_a_branch_and_a_repository_has_the_name_of_its_remote(tmp_path: Path) -> None:
    """The branch comes from the transcript."""
    repository = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    remote = ["git", "-C", str(repository), "remote", "add", "origin", "git@git.example.org:team/Web-Shop.git"]
    subprocess.run(remote, check=True)
    (repository / "src").mkdir()
    assert repository_name(str(repository / "src")) == "Web-Shop"
    assert repository_name(str(tmp_path)) is None
    assert repository_name("relative") is None
    replay = Replay(Scenario("basic-edit"), tmp_path / "replay")
    replay.write_transcripts()
    replay.spool(replay.hooks)
    replay.finish()
    turns = replay.core.facts.select(model.Turn)
    replay.core.store.close()
    assert {turn.branch for turn in turns} == {"main"}
