"""The thread that sends waiting spans and log events sends every item and gives up only bad ones."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from opentelemetry.sdk.resources import Resource

from claude_hooks_otel.daemon.assembly import open_store
from claude_hooks_otel.delivery import items, outbox, worker
from claude_hooks_otel.delivery.exporter_state import ExporterState, configure, note_accepted, note_error, read_state
from claude_hooks_otel.delivery.items import ItemWorker
from claude_hooks_otel.export.exporters import ItemExporter, build_item_exporters
from claude_hooks_otel.export.outcome import Outcome, Status
from claude_hooks_otel.settings import OtelSettings, Signal
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.timeline import LONGEST_ASKED_PAUSE
from claude_hooks_otel.traces.model import LOGS, Item, LogEvent
from tests.support.real_daemon import wait_until
from tests.support.waiting import put

Answer = Callable[[list[int]], Outcome]


def outcome(status: Status, error: str | None = None, rejected: int = 0) -> Outcome:
    return Outcome(status=status, error=error, rejected=rejected, duration_s=0.0)


ACCEPTED, REFUSED, AWAY = (
    outcome(Status.ACCEPTED),
    outcome(Status.REFUSED, "bad request"),
    outcome(Status.UNAVAILABLE, "connection refused"),
)


@dataclass
class Endpoint:
    """An exporter that answers each request by a rule. It keeps the accepted items and the sizes of the requests."""

    answer: Answer = lambda _: ACCEPTED
    name: str = "otlp"
    signal: str = LOGS
    is_requested: bool = True
    warnings: tuple[str, ...] = ()
    accepted: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    is_shut_down: bool = False

    def describe(self) -> str:
        return "a test"

    def export(self, batch: Sequence[Item], _: Resource) -> Outcome:
        uids = [item.uid for item in batch if isinstance(item, LogEvent)]
        self.requests.append(len(uids))
        found = self.answer(uids)
        if found.status is Status.ACCEPTED:
            self.accepted += uids
        return found

    def shutdown(self) -> None:
        self.is_shut_down = True


def is_bad(*bad: int) -> Answer:
    return lambda uids: REFUSED if set(bad) & set(uids) else ACCEPTED


@dataclass
class Waiting:
    """A store in which items wait, and the thread that sends them."""

    store: Store
    endpoint: Endpoint
    worker: ItemWorker

    def put(self, uids: Sequence[int]) -> None:
        events = [LogEvent(uid=uid, name="claude.prompt", at_ns=1, body="prompt") for uid in uids]
        with self.store.transaction():
            put(self.store.connection, LOGS, "otlp", events)
        self.worker.wake()

    def flush(self) -> str | None:
        """Have everything sent. Return None, or why something still waits."""
        return self.worker.answer(self.worker.ask(), 10)

    def left(self) -> int:
        return outbox.depth(self.store.connection).get(LOGS, 0)

    def dropped(self) -> dict[str, int]:
        return {reason: records for _, reason, records in outbox.take_dropped(self.store.connection)}

    @property
    def state(self) -> ExporterState:
        return read_state(self.store.connection, LOGS, "otlp")


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Callable[[Endpoint, int], Waiting]]:
    with contextlib.ExitStack() as stack:

        def make(endpoint: Endpoint, number: int) -> Waiting:
            store = open_store(tmp_path / "store.db", lambda: 0)
            stack.callback(store.close)
            with store.transaction():
                configure(store.connection, [ExporterState("metrics", "otlp"), ExporterState(LOGS, "otlp")])
            found = Waiting(store, endpoint, ItemWorker(cast("ItemExporter", endpoint), Resource({}), store.path))
            found.put(range(1, number + 1))
            found.worker.start()
            stack.callback(found.worker.join, 10)
            stack.callback(found.worker.stop)
            return found

        yield make


Make = Callable[[Endpoint, int], Waiting]


def test_everything_is_sent_in_order_and_then_removed(waiting: Make) -> None:
    one = waiting(Endpoint(), 1200)
    assert one.flush() is None
    assert one.endpoint.accepted == list(range(1, 1201))
    assert one.endpoint.requests == [512, 512, 176]
    assert one.left() == 0
    assert one.state.accepted_ns > 0


def test_a_new_item_is_sent_without_a_flush(waiting: Make) -> None:
    seen = threading.Event()

    def answer(uids: list[int]) -> Outcome:
        if 7 in uids:
            seen.set()
        return ACCEPTED

    one = waiting(Endpoint(answer), 1)
    one.put([7])
    assert seen.wait(10)


def test_only_the_bad_item_of_a_batch_is_given_up_after_few_requests(waiting: Make) -> None:
    one = waiting(Endpoint(is_bad(700)), 1200)
    assert one.flush() is None
    assert sorted(one.endpoint.accepted) == [uid for uid in range(1, 1201) if uid != 700]
    assert one.dropped() == {"refused": 1}
    assert len(one.endpoint.requests) < 30
    assert one.state.error == ""


def test_new_items_are_sent_before_a_refused_batch_is_tried_again(waiting: Make) -> None:
    one = waiting(Endpoint(is_bad(1)), 1024)
    assert one.flush() is None
    assert sorted(one.endpoint.accepted[:512]) == list(range(513, 1025))


def test_no_item_is_given_up_if_the_endpoint_accepts_nothing(waiting: Make) -> None:
    """The endpoint is wrong then, not the items. A log collector may answer 400 to spans."""
    one = waiting(Endpoint(lambda _: REFUSED), 3)
    assert one.flush() == "bad request"
    assert one.left() == 3
    assert one.dropped() == {}
    one.endpoint.answer = lambda _: ACCEPTED
    assert one.flush() is None
    assert one.endpoint.accepted == [1, 2, 3]


def test_an_endpoint_that_fails_at_one_item_gets_all_others(waiting: Make) -> None:
    """It answers 500 to one item. It accepts others, so this is no outage."""
    broken = outcome(Status.FAILED, "500")
    one = waiting(Endpoint(lambda uids: broken if 700 in uids else ACCEPTED), 1200)
    assert one.flush() is None
    assert sorted(one.endpoint.accepted) == [uid for uid in range(1, 1201) if uid != 700]
    assert one.dropped() == {"refused": 1}


def test_no_item_is_given_up_if_the_endpoint_fails_at_everything(waiting: Make) -> None:
    one = waiting(Endpoint(lambda _: outcome(Status.FAILED, "500")), 1200)
    assert one.flush() == "500"
    assert one.left() == 1200
    assert one.dropped() == {}
    one.endpoint.answer = lambda _: ACCEPTED
    one.endpoint.requests.clear()
    assert one.flush() is None
    assert one.endpoint.requests == [512, 512, 176]


def test_no_item_is_given_up_if_the_endpoint_fails_after_a_first_batch(waiting: Make) -> None:
    """That it accepted the first batch does not mean that all other items are bad."""
    endpoint = Endpoint()
    endpoint.answer = lambda _: ACCEPTED if len(endpoint.requests) == 1 else outcome(Status.FAILED, "500")
    one = waiting(endpoint, 3000)
    assert one.flush() == "500"
    assert one.left() == 3000 - 512
    assert one.dropped() == {}
    endpoint.answer = lambda _: ACCEPTED
    assert one.flush() is None
    assert sorted(endpoint.accepted) == list(range(1, 3001))


def test_no_item_is_given_up_if_the_endpoint_refuses_everything_after_a_first_batch(waiting: Make) -> None:
    """A proxy may answer 400 for a while. Items that it refused one by one are sent later too."""
    endpoint = Endpoint()
    endpoint.answer = lambda _: ACCEPTED if len(endpoint.requests) == 1 else REFUSED
    one = waiting(endpoint, 1200)
    assert one.flush() == "bad request"
    assert one.left() == 1200 - 512
    assert one.dropped() == {}
    endpoint.answer = lambda _: ACCEPTED
    assert one.flush() is None
    assert sorted(endpoint.accepted) == list(range(1, 1201))


def test_a_single_refused_item_is_given_up_when_another_is_accepted(waiting: Make) -> None:
    one = waiting(Endpoint(is_bad(1)), 1)
    assert one.flush() == "bad request"
    assert one.left() == 1
    one.put([2])
    assert one.flush() is None
    assert one.dropped() == {"refused": 1}
    assert one.endpoint.accepted == [2]


def test_a_batch_that_is_too_large_is_sent_in_smaller_ones(waiting: Make) -> None:
    one = waiting(Endpoint(lambda uids: ACCEPTED if len(uids) <= 100 else outcome(Status.TOO_LARGE, "413")), 1000)
    assert one.flush() is None
    assert one.endpoint.accepted == list(range(1, 1001))
    assert one.dropped() == {}


def test_an_item_that_is_too_large_by_itself_is_given_up(waiting: Make) -> None:
    one = waiting(Endpoint(lambda uids: outcome(Status.TOO_LARGE, "413") if 5 in uids else ACCEPTED), 20)
    assert one.flush() is None
    assert sorted(one.endpoint.accepted) == [uid for uid in range(1, 21) if uid != 5]
    assert one.dropped() == {"too_large": 1}


def test_rejected_items_of_an_accepted_batch_are_counted_and_not_sent_again(waiting: Make) -> None:
    one = waiting(Endpoint(lambda _: outcome(Status.ACCEPTED, "2 without a name", rejected=2)), 10)
    assert one.flush() is None
    assert one.endpoint.requests == [10]
    assert one.dropped() == {"rejected": 2}
    assert one.state.error == "2 without a name"


def test_everything_waits_during_an_outage_and_the_state_says_why(waiting: Make) -> None:
    one = waiting(Endpoint(lambda _: AWAY), 10)
    assert one.flush() == "connection refused"
    assert one.left() == 10
    assert one.state.error == "connection refused"
    one.endpoint.answer = lambda _: ACCEPTED
    assert one.flush() is None
    assert one.left() == 0
    assert one.state.error == ""


def test_an_endpoint_that_serves_only_metrics_gets_no_more_log_events(waiting: Make) -> None:
    """Nobody asked for log events. The general endpoint may be a receiver of metrics alone."""
    one = waiting(Endpoint(lambda _: outcome(Status.UNSERVED, "404"), is_requested=False), 10)
    with one.store.transaction():
        note_accepted(one.store.connection, "metrics", "otlp", 1)
    assert one.flush() is None
    assert one.worker.not_sent is not None
    assert set(one.endpoint.requests) == {10}
    assert one.left() == 0
    assert one.dropped() == {}
    assert "OTEL_LOGS_EXPORTER" in one.state.error


def test_an_endpoint_that_serves_no_metrics_either_is_tried_again(waiting: Make) -> None:
    """An endpoint with a mistyped path answers 404 to everything."""
    one = waiting(Endpoint(lambda _: outcome(Status.UNSERVED, "404"), is_requested=False), 10)
    with one.store.transaction():
        note_accepted(one.store.connection, "metrics", "otlp", 1)  # before the path was changed
        note_error(one.store.connection, "metrics", "otlp", "404")
    assert one.flush() == "404"
    assert one.worker.not_sent is None
    assert one.left() == 10


def test_an_endpoint_that_is_configured_for_the_signal_is_tried_again(waiting: Make) -> None:
    one = waiting(Endpoint(lambda _: outcome(Status.UNSERVED, "404")), 10)
    assert one.flush() == "404"
    assert one.worker.not_sent is None
    assert one.left() == 10


def test_a_damaged_item_in_the_store_delays_no_other(waiting: Make, tmp_path: Path) -> None:
    release = threading.Event()

    def answer(uids: list[int]) -> Outcome:
        release.wait(10)
        return ACCEPTED

    one = waiting(Endpoint(answer), 0)
    one.put(range(1, 11))
    with one.store.transaction():
        one.store.connection.execute("UPDATE outbox SET body = '{' WHERE seq = 3")
    release.set()
    one.put([20])
    assert one.flush() is None
    assert set(one.endpoint.accepted) >= {1, 2, 4, 5, 6, 7, 8, 9, 10, 20}
    assert one.left() == 0


def test_a_locked_store_makes_no_item_go_twice(waiting: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is locked for too long after the endpoint accepted a batch."""
    remove = outbox.remove
    failures = iter([sqlite3.OperationalError("database is locked")])

    def locked_once(connection: sqlite3.Connection, rows: Any) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        remove(connection, rows)

    monkeypatch.setattr(items.outbox, "remove", locked_once)
    one = waiting(Endpoint(), 10)
    while one.flush() is not None:
        pass
    assert one.endpoint.accepted == list(range(1, 11))
    assert one.left() == 0


def test_the_next_try_comes_when_the_endpoint_wants_it_but_a_flush_tries_at_once(
    waiting: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FIRST_RETRY", 0.0)
    answers = iter([Outcome(Status.UNAVAILABLE, "slow down", retry_after_s=1e9)])
    one = waiting(Endpoint(lambda _: next(answers, ACCEPTED)), 1)
    wait_until(lambda: one.worker.failures)
    assert one.worker._asked_pause == LONGEST_ASKED_PAUSE
    one.put([2])
    assert one.left() == 2
    assert one.flush() is None
    assert one.left() == 0


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files")])
def test_an_item_that_this_machine_cannot_send_for_now_is_not_bad(error: Exception) -> None:
    def fails(_: Any) -> Any:
        raise error

    [exporter] = build_item_exporters(OtelSettings.from_variables({"OTEL_LOGS_EXPORTER": "console"}), Signal.LOGS)
    exporter._sender.send = fails  # type: ignore[method-assign, assignment]
    assert exporter.export([], Resource({})).status is Status.UNAVAILABLE


def test_the_thread_can_be_stopped_during_an_outage(waiting: Make) -> None:
    one = waiting(Endpoint(lambda _: AWAY), 10)
    assert one.flush() == "connection refused"
    one.worker.stop()
    one.worker.join(5)
    assert not one.worker.is_alive()
    assert one.endpoint.is_shut_down
