"""The middle of the flow: from the spool and the transcripts to facts and series, each step one transaction.

A spool file is deleted after the commit that holds its content; a transcript's offset is part of the commit that holds its lines.
So a death at any instruction repeats work at most, and repeated work changes nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from claude_hooks_otel.daemon.followed_sessions import Watches
from claude_hooks_otel.facts import model, pricing
from claude_hooks_otel.facts.content import ContentKeeper
from claude_hooks_otel.facts.from_hooks import HookWitness
from claude_hooks_otel.facts.from_programs import SdkWitness
from claude_hooks_otel.facts.from_transcripts import TranscriptWitness
from claude_hooks_otel.facts.pairing import Settlement
from claude_hooks_otel.facts.projects import project_name
from claude_hooks_otel.facts.store import Store
from claude_hooks_otel.facts.transcripts import TranscriptFollower
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.declared import read_declared
from claude_hooks_otel.metrics.labels import DEFAULT_AGENT, Identity, normalize
from claude_hooks_otel.series.exemplars import Exemplars
from claude_hooks_otel.series.projection import apply_change
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.series.totals import SeriesBook
from claude_hooks_otel.settings.config import Config
from claude_hooks_otel.sources.hook_payloads import HookEvent, PayloadError
from claude_hooks_otel.sources.program_records import PREFIX as SDK_PREFIX
from claude_hooks_otel.sources.registration import REGISTERED
from claude_hooks_otel.sources.spool import Broken, Entry, Lost, Spool
from claude_hooks_otel.traces import gen_ai_metrics
from claude_hooks_otel.traces.writer import RecordWriter
from claude_hooks_otel.units import SECOND

# Spool files a transaction takes in: one flush to disk per this many events.
EVENTS_PER_TRANSACTION = 1000

_log = logging.getLogger(__name__)


class Pipeline:
    """Takes in what was captured.

    Args:
        home: where the spool and the store are.
        config: identity, limits and prices.
        now_ns: the clock, Unix nanoseconds.
        history_ns: transcript lines older than this count nothing; by default what is older than the first capture.
        keep_content: whether the length and digest of prompts, inputs and outputs are kept, and what ``config.capture`` shows of them.
    """

    def __init__(
        self,
        home: Home,
        config: Config,
        now_ns: Callable[[], int],
        history_ns: int | None = None,
        *,
        keep_content: bool = False,
    ) -> None:
        home.create()
        self.now_ns = now_ns
        self.spool = Spool(home.spool)
        self.store = Store(home.store, now_ns)
        known = {**read_declared(self.store.connection), **catalog.CATALOG}
        if config.metrics.gen_ai:
            known |= gen_ai_metrics.CATALOG
        self.book = SeriesBook(self.store.connection, known, config.series.limit, now_ns)
        self.store.journals.append(self.book)
        self.exemplars = Exemplars(self.store.connection, now_ns)
        self.store.on_change = lambda old, new: apply_change(self.book, old, new)
        self.scores = Scores(self.store, config.scores)
        self._config = config
        prices = config.price_overrides()
        self._overrides = {name: pricing.PriceOverride(**_complete(price)) for name, price in prices.items()}
        content = ContentKeeper(self.store, config.capture) if keep_content else None
        self._hooks = HookWitness(self.store, self.resolve, content)
        self._programs = SdkWitness(self.store, self.resolve, known, self._count_dropped, self.book.note_gauge)
        since = self.store.history_ns if history_ns is None else lambda: history_ns
        self._follower = TranscriptFollower(self.store, TranscriptWitness(self.store, self._price, since, content))
        self._settlement = Settlement(self.store)
        self._watches = Watches(self.store.connection, now_ns())
        self._writer: RecordWriter | None = None

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    def keep_records(self, writer: RecordWriter) -> None:
        """From now on ``writer`` writes spans and log events of what changes, in the transactions that change it."""
        self._writer = writer
        self.store.journals.insert(0, writer)  # before the series: its observers add to them

        def on_change(old: model.Fact | None, new: model.Fact) -> None:
            apply_change(self.book, old, new)
            writer.note(new)

        self.store.on_change = on_change

    def resolve(self, headers: Mapping[str, str], directory: str | None) -> Identity:
        """Whose an event is: its own variables, else the configuration, else the directory."""
        fallback = self._config.identity
        project = headers.get("project") or (directory and self._config.project_for(directory)) or fallback.project
        return Identity(
            agent=normalize(headers.get("agent") or fallback.agent, DEFAULT_AGENT),
            project=normalize(project) if project else project_name(directory or ""),
            team=_optional(headers.get("team") or fallback.team),
            sprint=_optional(headers.get("sprint") or fallback.sprint),
        )

    def _price(
        self, usage: pricing.TokenUsage, requested: str, at_ns: int, speed: str | None, inference_geo: str | None
    ) -> int | None:
        return pricing.request_cost(
            usage, requested, timestamp_ns=at_ns, speed=speed, inference_geo=inference_geo, overrides=self._overrides
        )

    # -- hook events -----------------------------------------------------------------------------------------------------

    def take_events(self, limit: int = EVENTS_PER_TRANSACTION) -> int:
        """Takes up to ``limit`` waiting events in; returns how many there were.

        Raises:
            sqlite3.Error: the store cannot be written; the events stay in the spool.
        """
        try:
            return self._take(self.spool.take(limit))
        except sqlite3.Error:
            raise  # the store's trouble, no event's
        except Exception:
            _log.exception("an event cannot be taken in; the others are taken one by one")
        return sum(self._take_or_set_aside(entry) for entry in self.spool.take(limit))

    def _take(self, entries: Iterable[Entry]) -> int:
        """Takes entries in, in one transaction."""
        taken: list[str] = []
        broken: list[str] = []
        heard: set[str] = set()
        try:
            with self.store.transaction():
                for entry in entries:
                    taken.append(entry.name)
                    try:
                        if (event := self._read(entry)) is not None:
                            heard.add(event.session_id)
                    except PayloadError as error:
                        _log.warning("%s was set aside: %s", entry.name, error)
                        self._count_dropped("unreadable")
                        broken.append(entry.name)
                self._hooks.flush()
                self._watches.hear(heard, self.now_ns())
        except BaseException:
            self._hooks.forget()
            raise
        for name in broken:
            self.spool.set_aside(name)
        self.spool.done(taken)
        return len(taken)

    def _take_or_set_aside(self, entry: Entry) -> int:
        try:
            return self._take([entry])
        except sqlite3.Error:
            raise
        except Exception:
            _log.exception("%s was set aside", entry.name)
        with self.store.transaction():
            self._count_dropped("error")
        self.spool.set_aside(entry.name)
        return 1

    def _read(self, entry: Entry) -> HookEvent | None:
        """Reads one entry; None for one that tells nothing new.

        Raises:
            PayloadError: it is no hook event.
        """
        if isinstance(entry, Lost):
            self._count_dropped("spool_full")
            return None
        if isinstance(entry, Broken):
            raise PayloadError(entry.reason)
        if entry.event.startswith(SDK_PREFIX):
            self._programs.read(entry)
            self.book.add(catalog.HOOK_EVENTS, (("event", entry.event),), 1)
            return None
        event = self._hooks.read(entry)
        if event is not None:
            name = event.hook_event_name if event.hook_event_name in REGISTERED else "other"
            self.book.add(catalog.HOOK_EVENTS, (("event", name),), 1)
        return event

    def _count_dropped(self, reason: str) -> None:
        self.book.add(catalog.HOOK_EVENTS_DROPPED, (("reason", reason),), 1)

    # -- transcripts and settling ------------------------------------------------------------------------------------------

    def follow_sessions(self, *, everything: bool = False, settle: bool = False) -> int:
        """Reads on in the transcripts of the sessions whose turn it is, and settles them; returns how many lines were new.

        Args:
            everything: look at every session now, whenever it was looked at last.
            settle: pair what can be paired, without waiting for the sessions to be quiet.
        """
        now = self.now_ns()
        lines = 0
        for session_id in self._watches.due(now, everything=everything):
            try:
                lines += self._follow(session_id, now, settle=settle)
            except sqlite3.Error:
                raise  # the store's trouble, no session's
            except Exception:
                _log.exception("session %s cannot be followed; the others are", session_id)
                if self._watches.is_quiet(session_id, now):
                    with self.store.transaction():
                        self._watches.forget(
                            session_id
                        )  # until something of it arrives, or the next daemon looks at it
        return lines

    def _follow(self, session_id: str, now: int, *, settle: bool) -> int:
        session = self.store.get(model.Session, session_id)
        if session is None:
            with self.store.transaction():
                self._watches.forget(session_id)
            return 0
        lines = 0
        batches = self._follower.follow(session)
        try:
            while True:
                with self.store.transaction():
                    batch = next(batches, 0)
                if not batch:
                    break
                lines += batch
        except BaseException:
            self._follower.forget()  # it is ahead of what was committed
            raise
        if lines:
            self._watches.read_more(session_id, now)
        with self.store.transaction():
            heard_ns = 0 if settle else self._watches.heard_ns(session_id, now)
            is_over = self._settlement.settle(session_id, now, heard_ns)
            self._write_records(session_id, now, now - heard_ns, is_over=is_over)
            if is_over and not lines and self._watches.is_quiet(session_id, now):
                self._watches.forget(session_id)
        return lines

    def _write_records(self, session_id: str, now: int, quiet_ns: int, *, is_over: bool) -> None:
        """Has the session's spans and log events written; what goes wrong there costs no metric anything."""
        if self._writer is None:
            return
        try:
            with self.store.step():
                self._writer.write(session_id, now, quiet_ns, is_over=is_over)
        except sqlite3.Error:
            raise
        except Exception:
            _log.exception("spans and log events of session %s cannot be written", session_id)
            self._writer.put_off(session_id)

    def prune(self, retention_days: int) -> None:
        """Forgets facts older than the retention; lines of that time then count nothing, should a transcript be read anew."""
        with self.store.transaction():
            self.store.prune(self.now_ns() - retention_days * 24 * 3600 * SECOND)

    @property
    def has_live_sessions(self) -> bool:
        """Whether any session is still watched: it has not ended, or ended moments ago."""
        return bool(self._watches)


def _complete(price: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """A price override with the cache classes that were left out, at the usual multiples of the input price."""
    base = price["input"]
    usual = {"cache_read": base / 10, "cache_write_5m": base * 5 / 4, "cache_write_1h": base * 2}
    return {**usual, **price}


def _optional(value: str | None) -> str | None:
    return normalize(value) if value else None
