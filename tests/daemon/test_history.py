"""An import reads the whole history once, with its own time, and moves no exported series."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.daemon.history import HistoryImport, ImportResult, find_transcripts
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.ledger import LedgerEntry
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import decode_labels
from claude_hooks_otel.series.aggregates import BUCKET, read_aggregates
from claude_hooks_otel.series.renewal import recompute
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources.transcript_files import config_folders, has_history
from claude_hooks_otel.units import DAY, END_OF_TIME, SECOND
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.replay import Replay, adopt_transcripts

# What a report of history is about. Durations and starts need hooks.
COMPARED = {
    catalog.COST.name, catalog.TOKENS_INPUT.name, catalog.TOKENS_OUTPUT.name, catalog.API_REQUESTS.name, catalog.PROMPTS.name,
    catalog.TOOL_CALLS.name, catalog.LINES_ADDED.name, catalog.LINES_DELETED.name, catalog.TASKS_COMPLETED.name, catalog.SESSIONS.name,
    catalog.TESTS.name,
}  # fmt: skip
LATER = 1_900_000_000 * SECOND


class History:
    """A configuration folder with the transcripts of a scenario, and a home."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.home, self.folder = Home(folder / "home"), folder / "claude"
        scenario.write_transcripts(self.folder / "projects")

    def run(self, stop_after: int | None = None, config: Config | None = None) -> ImportResult:
        """Import everything, or so many steps."""
        reader = HistoryImport(self.home, config or Config(), lambda: LATER)
        with closing(reader), closing(reader.read(find_transcripts([self.folder]))) as steps:
            for number, _ in enumerate(steps, start=1):
                if number == stop_after:
                    break
            else:
                reader.pair()
        return reader.result

    def sums(self) -> Counter[tuple[str, Any]]:
        core = assemble_core(self.home, Config(), lambda: LATER)
        found: Counter[tuple[str, Any]] = Counter()
        for each in read_aggregates(core.store.connection, 0, END_OF_TIME):
            if each.metric in COMPARED:
                found[each.metric, _without_identity(each.labels)] += each.value
        core.store.close()
        return found


def _without_identity(labels: Any) -> Any:
    return tuple(pair for pair in labels if pair[0] not in ("agent", "project", "source"))


def followed(scenario: Scenario, folder: Path) -> Counter[tuple[str, Any]]:
    """Return the totals of the live following without hooks."""
    replay = Replay(scenario, folder)
    replay.write_transcripts()
    adopt_transcripts(replay)
    replay.finish()
    found: Counter[tuple[str, Any]] = Counter()
    for point in replay.core.totals.points():
        if point.metric.name in COMPARED:
            found[point.metric.name, _without_identity(point.labels)] += point.value
    replay.core.store.close()
    return found


QUICK = ("forks", "subagents", "tasks")
SOME = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in SCENARIOS]


# What side requests of forks cost follows from the starts of processes, which only hooks report.
WITHOUT_SIDE_REQUESTS = ("forks",)


@pytest.mark.parametrize("name", SOME)
def test_an_import_counts_what_the_live_following_counts(name: str, tmp_path: Path) -> None:
    history = History(Scenario(name), tmp_path / "import")
    history.run()
    found, expected = history.sums(), followed(Scenario(name), tmp_path / "live")
    for sums in (found, expected) if name in WITHOUT_SIDE_REQUESTS else ():
        for key in [key for key in sums if ("agent_type", "auxiliary") in key[1]]:
            del sums[key]
    assert found == expected


@pytest.mark.parametrize("name", SOME)
def test_an_import_that_is_repeated_and_interrupted_counts_once(name: str, tmp_path: Path) -> None:
    once, often = History(Scenario(name), tmp_path / "once"), History(Scenario(name), tmp_path / "often")
    once.run()
    for _ in range(20):
        often.run(stop_after=1)
    often.run()
    again = often.run()
    assert often.sums() == once.sums()
    assert (again.sessions, again.bytes_read) == (0, 0)


def test_history_moves_no_exported_series(tmp_path: Path) -> None:
    history = History(Scenario("subagents"), tmp_path)
    history.run()
    core = assemble_core(history.home, Config(), lambda: LATER)
    assert [point.metric.name for point in core.totals.points() if point.metric.common] == []
    core.store.close()


def test_totals_that_are_computed_again_leave_history_out(tmp_path: Path) -> None:
    history = History(Scenario("subagents"), tmp_path)
    history.run()
    core = assemble_core(history.home, Config(), lambda: LATER)
    with core.store.transaction():
        recompute(core.facts, core.totals)
    assert [point.metric.name for point in core.totals.points() if point.metric.common] == []
    core.store.close()


def test_history_has_its_own_time(tmp_path: Path) -> None:
    scenario = Scenario("tasks")
    history = History(scenario, tmp_path)
    history.run()
    core = assemble_core(history.home, Config(), lambda: LATER)
    times = [each.begin_ns for each in read_aggregates(core.store.connection, 0, END_OF_TIME)]
    first, last = (round(edge(hook.t for hook in scenario.hooks) * SECOND) for edge in (min, max))
    assert first - BUCKET <= min(times)
    assert max(times) <= last
    core.store.close()


def test_sessions_that_hooks_captured_are_left_to_the_daemon(tmp_path: Path) -> None:
    scenario = Scenario("tasks")
    replay = Replay(scenario, tmp_path)
    replay.write_transcripts()
    replay.spool(replay.hooks)
    replay.finish()
    replay.core.store.close()
    reader = HistoryImport(replay.home, Config(), lambda: LATER)
    shutil.copytree(replay.projects, tmp_path / "claude" / "projects")
    assert list(reader.read(find_transcripts([tmp_path / "claude"]))) == []
    reader.close()
    assert reader.result.captured == len(find_transcripts([tmp_path / "claude"]))


def test_a_session_that_is_resumed_while_it_is_read_is_left_to_the_daemon(tmp_path: Path) -> None:
    scenario = Scenario("tasks")
    history = History(scenario, tmp_path / "resumed")
    found = find_transcripts([history.folder])
    reader = HistoryImport(history.home, Config(), lambda: LATER)
    with closing(reader), closing(reader.read(found)) as steps:
        next(steps)
        core = assemble_core(history.home, Config(), lambda: LATER)
        entry = LedgerEntry(LATER, "SessionStart", "", "", "resume")
        with core.store.transaction():
            core.facts.ledger.enter(b"digest", found[0].session_id, entry)
        core.store.close()
        list(steps)
        reader.pair()
    assert reader.result.captured == 1
    core = assemble_core(history.home, Config(), lambda: LATER)
    assert core.facts.select(model.ApiRequest, "session_id = ?", found[0].session_id) == []
    core.store.close()


def test_of_two_copies_of_a_session_the_larger_one_is_read(tmp_path: Path) -> None:
    for name, lines in (("first", 1), ("second", 2)):
        project = tmp_path / name / "projects" / "p"
        project.mkdir(parents=True)
        (project / "s.jsonl").write_text('{"type": "mode"}\n' * lines)
    (found,) = find_transcripts([tmp_path / "first", tmp_path / "second"])
    assert found.main == tmp_path / "second" / "projects" / "p" / "s.jsonl"


def test_a_forgotten_session_does_not_count_again(tmp_path: Path) -> None:
    history = History(Scenario("tasks"), tmp_path)
    history.run()
    before = history.sums()
    core = assemble_core(history.home, Config(), lambda: LATER)
    core.intake.forget(LATER - 90 * DAY)
    assert core.store.connection.execute("SELECT COUNT(*) FROM session").fetchone() == (0,)
    core.store.close()
    history.run()
    assert history.sums() == before


def test_a_session_that_grows_is_read_on(tmp_path: Path) -> None:
    history = History(Scenario("tasks"), tmp_path)
    (main,) = [each.main for each in find_transcripts([history.folder])][:1]
    lines = main.read_bytes().splitlines(keepends=True)
    main.write_bytes(b"".join(lines[: len(lines) // 2]))
    history.run()
    main.write_bytes(b"".join(lines))
    assert history.run().sessions == 1
    whole = History(Scenario("tasks"), tmp_path / "whole")
    whole.run()
    found, expected = history.sums(), whole.sums()
    for metric in (catalog.COST, catalog.API_REQUESTS, catalog.TOKENS_OUTPUT, catalog.SESSIONS, catalog.PROMPTS):
        assert {key: value for key, value in found.items() if key[0] == metric.name} == {
            key: value for key, value in expected.items() if key[0] == metric.name
        }


def test_the_folder_of_a_session_decides_its_labels(tmp_path: Path) -> None:
    history = History(Scenario("tasks"), tmp_path)
    lines = [line for path in history.folder.rglob("*.jsonl") for line in path.read_text().splitlines()]
    folders = {cwd for line in map(json.loads, lines) if (cwd := line.get("cwd"))}
    config = Config(
        agents=dict.fromkeys(folders, "importer"),
        projects=dict.fromkeys(folders, "listed"),
        identity={"agent": "nobody"},
    )
    history.run(config=config)
    core = assemble_core(history.home, config, lambda: LATER)
    rows = core.store.connection.execute("SELECT DISTINCT labels FROM aggregate WHERE metric = ?", (catalog.COST.name,))
    labels = [dict(decode_labels(text)) for (text,) in rows]
    assert {(each["agent"], each["project"]) for each in labels} == {("importer", "listed")}
    core.store.close()


def test_the_configuration_folders_are_those_of_the_client(tmp_path: Path) -> None:
    for name in (".claude", ".config/claude"):
        (tmp_path / name / "projects").mkdir(parents=True)
    assert config_folders({"HOME": str(tmp_path)}) == [tmp_path / ".claude", tmp_path / ".config" / "claude"]
    assert config_folders({"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": "/a, /b"}) == [Path("/a"), Path("/b")]


def test_a_machine_has_history_if_there_is_a_transcript(tmp_path: Path) -> None:
    assert not has_history({"HOME": str(tmp_path)})
    Scenario("tasks").write_transcripts(tmp_path / ".claude" / "projects")
    assert has_history({"HOME": str(tmp_path)})


def test_files_that_are_no_transcripts_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "claude" / "projects" / "p"
    folder.mkdir(parents=True)
    (folder / "empty.jsonl").touch()
    (folder / "notes.jsonl").write_text('{"type": "summary"}\n')
    (folder / "folder.jsonl").mkdir()
    reader = HistoryImport(Home(tmp_path / "home"), Config(), lambda: LATER)
    assert list(reader.read(find_transcripts([tmp_path / "claude"]))) == []
    reader.close()
    assert reader.result == ImportResult(empty=3)
