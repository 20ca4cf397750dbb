"""An import beside a daemon that captures sessions: the exported totals are those of the daemon alone, and reports have both."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.transcripts import make
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from tests.support.importer import Importer, sums
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.real_daemon import Installation, PlayedHook, RecordedSessions, Totals, final_totals, steps_back
from tests.support.undisturbed import FEW

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# The metrics of a report that both sources have.
COMPARED = {
    catalog.COST.name, catalog.TOKENS_INPUT.name, catalog.TOKENS_OUTPUT.name, catalog.API_REQUESTS.name, catalog.PROMPTS.name,
    catalog.TOOL_CALLS.name, catalog.LINES_ADDED.name, catalog.LINES_DELETED.name, catalog.SESSIONS.name,
}  # fmt: skip

Played = Callable[[str, OtlpReceiver], Installation]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Played]:
    """Return a function that makes an installation that exports to a receiver."""
    made: list[Installation] = []

    def make_one(name: str, receiver: OtlpReceiver) -> Installation:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        (tmp_path / name).mkdir()
        made.append(Installation(tmp_path / name, variables))
        return made[-1]

    yield make_one
    for installation in made:
        installation.close()


class Live:
    """Recorded sessions whose transcripts appear after their first event, as a client's do."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "live"
        self._aside = folder / "aside"
        self.hooks = RecordedSessions(FEW, self.config / "projects").hooks

    def hide(self) -> None:
        """Move all transcripts away."""
        shutil.rmtree(self._aside, ignore_errors=True)
        self.config.rename(self._aside)

    def show(self, hook: PlayedHook) -> None:
        """Bring back the transcripts of an event's session."""
        main = Path(json.loads(hook.payload)["transcript_path"])
        for path in (main, main.with_suffix("")):
            aside = self._aside / path.relative_to(self.config)
            if aside.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                aside.rename(path)


def counted(found: Totals) -> Totals:
    """Return the totals without durations. Theirs depend on whether the daemon sees an event or its line in the transcript first."""
    left_out = {catalog.ACTIVE_TIME.name}
    return {key: value for key, value in found.items() if key[0] not in left_out and not key[0].endswith(".duration")}


def reported(home: Home) -> Counter[tuple[str, Any]]:
    """Return the sums of a report, whenever it was."""
    found: Counter[tuple[str, Any]] = Counter()
    for (metric, labels, _), value in sums(home).items():
        if metric in COMPARED:
            found[metric, labels] += value
    return +found


@pytest.mark.timeout(900)
def test_imports_beside_a_daemon_move_no_live_series(tmp_path: Path, installed: Played) -> None:
    live, history = Live(tmp_path), tmp_path / "history"
    make(history, count=60, turns=(1, 3, 8))
    with OtlpReceiver() as receiver:
        alone = installed("alone", receiver)
        alone.start()
        for hook in live.hooks:
            alone.run_hook(hook)
        wanted = counted(final_totals(receiver, alone))
        alone.kill()
    Importer([history]).run(Home(tmp_path / "only"))

    live.hide()
    importer, is_over = Importer([history, live.config]), threading.Event()
    with OtlpReceiver() as receiver:
        beside = installed("beside", receiver)
        beside.start()
        runs: list[dict[str, Any]] = []

        def keep_importing() -> None:
            while not is_over.is_set() or len(runs) < 2:
                runs.append(importer.run(beside.home))

        importing = threading.Thread(target=keep_importing)
        importing.start()
        try:
            for hook in live.hooks:
                beside.run_hook(hook)
                live.show(hook)
        finally:
            is_over.set()
            importing.join()
        last = importer.run(beside.home)
        assert counted(final_totals(receiver, beside)) == wanted
        assert list(steps_back(receiver)) == []
        beside.kill()
    print(f"{len(runs)} imports next to a daemon")  # with -rP
    assert (last["sessions"], last["bytes_read"]) == (0, 0)
    assert last["captured"] == len({hook.recorded.fields["session_id"] for hook in live.hooks})
    assert reported(beside.home) == reported(alone.home) + reported(Home(tmp_path / "only"))


def test_sessions_whose_events_wait_are_left_to_the_daemon(tmp_path: Path, installed: Played) -> None:
    live = Live(tmp_path)
    found = []
    for name in ("alone", "imported"):
        with OtlpReceiver() as receiver:
            installation = installed(name, receiver)
            for hook in live.hooks:
                installation.run_hook(hook)
            if name == "imported":
                result = Importer([live.config]).run(installation.home)
                assert result["captured"] == len({hook.recorded.fields["session_id"] for hook in live.hooks})
            installation.start()
            found.append(counted(final_totals(receiver, installation)))
            installation.kill()
    assert found[0] == found[1]
