"""Assembly: the one place where the parts of the daemon are put together. It shows which part uses which."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from claude_hooks_otel.daemon.account import account
from claude_hooks_otel.daemon.budget_settings import BudgetSettings
from claude_hooks_otel.daemon.budgets import Budgets
from claude_hooks_otel.daemon.exporters import Exporters, build_exporters
from claude_hooks_otel.daemon.identity import branch_label, identity_resolver
from claude_hooks_otel.daemon.intake import Intake
from claude_hooks_otel.daemon.steady_clock import SteadyClock
from claude_hooks_otel.delivery import tables as delivery_tables
from claude_hooks_otel.delivery.deliveries import Deliveries
from claude_hooks_otel.delivery.items import ItemWorker
from claude_hooks_otel.delivery.measurement_log import MeasurementLog
from claude_hooks_otel.delivery.measurements import MeasurementWorker, ReadsSeries
from claude_hooks_otel.delivery.metrics import MetricWorker
from claude_hooks_otel.delivery.outbox import Outbox
from claude_hooks_otel.delivery.snapshots import Snapshots
from claude_hooks_otel.export.console_file import ConsoleFile
from claude_hooks_otel.export.custom.base import CustomExporter
from claude_hooks_otel.export.resource import service_resource
from claude_hooks_otel.export.sampling import TurnSampler
from claude_hooks_otel.facts import pricing
from claude_hooks_otel.facts import tables as facts_tables
from claude_hooks_otel.facts.content import ContentKeeper
from claude_hooks_otel.facts.from_hooks import HookReader
from claude_hooks_otel.facts.from_programs import ProgramReader
from claude_hooks_otel.facts.from_status_lines import StatusReader
from claude_hooks_otel.facts.from_transcripts import Pricer, TranscriptReader
from claude_hooks_otel.facts.identities import IdentityResolver
from claude_hooks_otel.facts.model import KINDS
from claude_hooks_otel.facts.pairing import Pairing
from claude_hooks_otel.facts.repository import Facts, Listener
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.metrics import catalog, declared
from claude_hooks_otel.metrics.definition import Metric
from claude_hooks_otel.metrics.labels import CHOSEN_LABELS
from claude_hooks_otel.series import tables as series_tables
from claude_hooks_otel.series.aggregates import Aggregates
from claude_hooks_otel.series.exemplars import Exemplars
from claude_hooks_otel.series.program_gauges import ProgramGauges
from claude_hooks_otel.series.projection import apply_change
from claude_hooks_otel.series.scores import Scores
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.settings import Config, OtelSettings
from claude_hooks_otel.sources import tables as sources_tables
from claude_hooks_otel.sources.captured import SpoolSource
from claude_hooks_otel.sources.followed_sessions import FollowedSessions
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.transcripts import TranscriptSource
from claude_hooks_otel.sources.unknown import Unknowns
from claude_hooks_otel.store.schema import Room
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.traces import gen_ai_metrics
from claude_hooks_otel.traces import tables as traces_tables
from claude_hooks_otel.traces.model import LOGS, TRACES
from claude_hooks_otel.traces.pending_sessions import PendingSessions
from claude_hooks_otel.traces.semantic_conventions import IDENTITY
from claude_hooks_otel.traces.span_exemplars import keep_exemplars
from claude_hooks_otel.traces.turn_trace import Sampler
from claude_hooks_otel.traces.writer import TraceWriter

# Every room that keeps something in the store, in the order in which it forgets: facts before what refers to them.
ROOMS: Final[Sequence[Room]] = (
    declared, facts_tables, sources_tables, series_tables, traces_tables, delivery_tables,
)  # fmt: skip


def open_store(path: Path, now_ns: Callable[[], int]) -> Store:
    """Open the store with the tables of every room.

    Args:
        path: the database file.
        now_ns: the clock, Unix nanoseconds.
    """
    return Store(path, now_ns, ROOMS)


@dataclass(frozen=True, slots=True)
class Core:
    """Everything from the spool to the store, and what waits there."""

    store: Store
    facts: Facts
    totals: SeriesTotals
    exemplars: Exemplars
    spool: Spool
    outbox: Outbox
    log: MeasurementLog
    intake: Intake
    writer: TraceWriter | None
    aggregates: Aggregates


def assemble_core(
    home: Home,
    config: Config,
    now_ns: Callable[[], int] = time.time_ns,
    *,
    wanted: Mapping[str, Collection[str]] = MappingProxyType({}),
    sample: Sampler = lambda *_: True,
    logs_measurements: bool = False,
    history_ns: Callable[[str], int] | int | None = None,
    keeps_content: bool | None = None,
    is_live: bool = True,
    counted_until: Callable[[tuple[str, str]], int | None] | None = None,
    resource_attributes: Mapping[str, str] = MappingProxyType({}),
) -> Core:
    """Put the intake together.

    Args:
        home: where spool and store are.
        config: what the owner has set.
        now_ns: the clock, Unix nanoseconds.
        wanted: ``traces`` and ``logs`` → the names of the exporters that want them.
        sample: says which traces are sent.
        logs_measurements: whether there are custom exporters, which read the log of measurements.
        history_ns: since when lines and accounts count, Unix nanoseconds, for all sessions or for each; by default since the first capture.
        keeps_content: whether the length and digest of prompts, inputs and outputs are kept; by default if items are wanted.
        is_live: whether facts move the exported series. History moves only the aggregates.
        counted_until: for a recovery: returns up to which offset a transcript was counted. Only that part is read, and no total changes.
        resource_attributes: those of ``OTEL_RESOURCE_ATTRIBUTES``, for the labels that they set.
    """
    home.create()
    connection = (store := open_store(home.store, now_ns)).connection
    log, exemplars = MeasurementLog(connection, now_ns), Exemplars(connection, now_ns)
    outbox = Outbox(connection, now_ns, wanted)
    known, aggregates = _known_metrics(connection, config), Aggregates(connection, now_ns, is_live=is_live)
    totals = SeriesTotals(connection, known, config.series.limit, now_ns, [log.append] if logs_measurements else [])
    wants_items = outbox.wants(TRACES) or outbox.wants(LOGS)
    pending = PendingSessions(connection) if wants_items or config.metrics.gen_ai else None
    both: tuple[SeriesTotals | Aggregates, ...] = () if counted_until else (totals, aggregates)
    facts = Facts(store, _listeners(both if is_live else both[1:], pending))
    writer = _writer(config, facts, pending, outbox, totals, exemplars, sample) if pending is not None else None
    # Everything that is written with a transaction, in this order: the observers of spans add to the totals.
    store.enlist(*([writer] if writer else []), *both)
    if both:
        _aggregate_older_facts(facts, aggregates)
    spool, keeps_content = Spool(home.spool), wants_items if keeps_content is None else keeps_content
    intake = _intake(
        config, facts, totals, known, spool, _content(facts, config, keeps_content), _history(facts, history_ns), writer,
        identity_resolver(config, resource_attributes), counted_until, expects_hooks=is_live,
    )  # fmt: skip
    return Core(store, facts, totals, exemplars, spool, outbox, log, intake, writer, aggregates)


def _content(facts: Facts, config: Config, is_kept: bool) -> ContentKeeper | None:
    return ContentKeeper(facts, config.capture) if is_kept else None


def _listeners(accounts: Sequence[SeriesTotals | Aggregates], pending: PendingSessions | None) -> list[Listener]:
    """Return everything that listens to changes of facts, in this order."""
    found: list[Listener] = [partial(apply_change, accounts)] if accounts else []
    return [*found, pending.note] if pending else found


def _history(facts: Facts, history_ns: Callable[[str], int] | int | None) -> Callable[[str], int]:
    if history_ns is None:
        return facts.history_ns
    return history_ns if callable(history_ns) else lambda _session_id: history_ns


def _aggregate_older_facts(facts: Facts, aggregates: Aggregates) -> None:
    """Add the facts of a store that an earlier version wrote to the aggregates, once. The daemon has counted them."""
    if facts.store.meta("has_aggregates"):
        return
    with facts.store.transaction():
        with aggregates.counting_live():
            for kind in KINDS:
                for fact in facts.select(kind):
                    apply_change([aggregates], None, fact)
            aggregates.flush()
        facts.store.set_meta("has_aggregates", "1")


def _known_metrics(connection: sqlite3.Connection, config: Config) -> dict[str, Metric]:
    """Name → definition of every metric that has series."""
    generative = gen_ai_metrics.CATALOG if config.metrics.gen_ai else {}
    return {**declared.read_declared(connection), **catalog.CATALOG, **generative}


def _writer(
    config: Config,
    facts: Facts,
    pending: PendingSessions,
    outbox: Outbox,
    totals: SeriesTotals,
    exemplars: Exemplars,
    sample: Sampler,
) -> TraceWriter:
    """Put together what writes spans and log events."""
    labels = config.labels
    on_spans, on_logs = (
        {IDENTITY[name] for name in CHOSEN_LABELS if name not in listed} for listed in (labels.spans, labels.logs)
    )
    unmeasured = [name for name in CHOSEN_LABELS if name not in labels.metrics]
    return TraceWriter(
        facts,
        pending,
        outbox,
        sample=sample,
        follow_traceparent=config.traces.follow_traceparent,
        on_spans=[partial(gen_ai_metrics.count_spans, totals, left_out=unmeasured)] if config.metrics.gen_ai else [],
        on_sent_spans=[partial(keep_exemplars, exemplars)],
        left_out={TRACES: on_spans, LOGS: on_logs} if labels.chosen else {},
    )


def _intake(
    config: Config,
    facts: Facts,
    totals: SeriesTotals,
    known: dict[str, Metric],
    spool: Spool,
    content: ContentKeeper | None,
    history: Callable[[str], int],
    writer: TraceWriter | None,
    resolve: IdentityResolver,
    until: Callable[[tuple[str, str]], int | None] | None,
    *,
    expects_hooks: bool,
) -> Intake:
    """Put together what reads the sources."""
    store, connection = facts.store, facts.store.connection
    unknowns, transcripts = Unknowns(connection, store.now_ns), TranscriptSource(connection, until or (lambda _: None))
    store.enlist(unknowns, transcripts)

    def count_dropped(reason: str) -> None:
        totals.add(catalog.HOOK_EVENTS_DROPPED, (("reason", reason),), 1)

    return Intake(
        facts=facts,
        totals=totals,
        unknowns=unknowns,
        spool=SpoolSource(spool, store.after_commit),
        hooks=HookReader(facts, unknowns, resolve, content),
        programs=ProgramReader(facts, resolve, known, count_dropped, ProgramGauges(connection, totals, known).set),
        statuses=StatusReader(facts, resolve),
        followed=FollowedSessions(connection, store.now_ns()),
        transcripts=transcripts,
        lines=TranscriptReader(
            facts,
            _pricer(config),
            history,
            content,
            expects_hooks=expects_hooks,
            branch_label=None if expects_hooks else branch_label(config),
        ),
        pairing=Pairing(facts, history, expects_hooks=expects_hooks),
        writer=writer,
    )


@dataclass(frozen=True, slots=True)
class Daemon:
    """The whole daemon: the core, the deliveries to every exporter, and the budgets."""

    core: Core
    deliveries: Deliveries
    clock: SteadyClock
    budgets: Budgets

    def close(self) -> None:
        """Deliver what is new once more, briefly, and close everything."""
        self.budgets.close()
        self.deliveries.close()
        self.core.store.close()

    def abandon(self) -> None:
        """Close everything without another delivery."""
        self.budgets.close()
        self.deliveries.abandon()
        self.core.store.close()


def assemble_daemon(
    home: Home,
    config: Config,
    otel: OtelSettings,
    now_ns: Callable[[], int] = time.time_ns,
    *,
    history_ns: int | None = None,
    is_config_bad: bool = False,
    console: TextIO | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Daemon:
    """Put the daemon together, and start its deliveries.

    Args:
        home: where spool and store are.
        config: what the owner has set.
        otel: the ``OTEL_*`` variables.
        now_ns: the clock, Unix nanoseconds.
        history_ns: as for ``assemble_core``.
        is_config_bad: whether the configuration file cannot be used, and ``config`` is an earlier one.
        console: where the exporter ``console`` writes; by default a file in the home.
        environ: the environment of the daemon.
    """
    exporters = build_exporters(config, otel, console or ConsoleFile(home.console))
    core = assemble_core(
        home, config, now_ns,
        wanted={signal: [e.name for e in exporters.items if e.signal == signal] for signal in (TRACES, LOGS)},
        sample=TurnSampler(otel.sampler),
        logs_measurements=bool(exporters.custom),
        history_ns=history_ns,
        resource_attributes=otel.resource_attributes,
    )  # fmt: skip
    budgets = Budgets(home, core.store, core.totals, BudgetSettings(home, config.budgets, environ))
    snapshots = _snapshots(core, config, budgets, is_config_bad=is_config_bad)
    path, instance, clock = core.store.path, core.store.meta("instance_id"), SteadyClock(core.store)
    resource = service_resource(otel, instance, account(config.capture, Path.home()))
    deliveries = Deliveries(
        core.store, core.totals, snapshots, core.outbox, core.log,
        metric_workers=[MetricWorker(exporter, resource, path) for exporter in exporters.metrics],
        item_workers=[ItemWorker(exporter, resource, path) for exporter in exporters.items],
        measurement_workers=_measurement_workers(exporters, config, path, instance),
        states=exporters.states,
        delay=config.daemon.export_delay_seconds,
        interval=otel.export_interval_s,
        bounds=config.outbox,
        may_expire=clock.is_steady,
    )  # fmt: skip
    _attach_readers(exporters.custom.values(), deliveries)
    return Daemon(core, deliveries, clock, budgets)


def _attach_readers(exporters: Iterable[CustomExporter], deliveries: Deliveries) -> None:
    for reader in (exporter for exporter in exporters if isinstance(exporter, ReadsSeries)):
        reader.attach(deliveries.series_now)


def _snapshots(core: Core, config: Config, budgets: Budgets, *, is_config_bad: bool) -> Snapshots:
    """Return what takes snapshots of the series."""
    scores, depth = Scores(core.facts, config.scores), core.spool.depth
    return Snapshots(core.facts, core.totals, core.exemplars, scores, depth, is_config_bad, budgets.states)


def _measurement_workers(exporters: Exporters, config: Config, path: Path, instance: str) -> list[MeasurementWorker]:
    """Return a worker for each custom exporter."""
    return [
        MeasurementWorker(name, exporter, config.exporters[name], path, instance)
        for name, exporter in exporters.custom.items()
    ]


def _pricer(config: Config) -> Pricer:
    """Return a function that prices a request with the owner's own prices before the list's."""
    overrides = price_overrides(config)

    def price(
        usage: pricing.TokenUsage,
        models: tuple[str, str | None],
        at_ns: int,
        speed: str | None,
        inference_geo: str | None,
    ) -> int | None:
        requested, answering = models
        return pricing.request_cost(
            usage, requested, answering_model=answering, timestamp_ns=at_ns, speed=speed, inference_geo=inference_geo,
            overrides=overrides,
        )  # fmt: skip

    return price


def price_overrides(config: Config) -> dict[str, pricing.PriceOverride]:
    """Return the owner's own prices, by the name in ``[prices]``."""
    return {name: pricing.PriceOverride(**_complete(price)) for name, price in config.price_overrides().items()}


def _complete(price: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return a price override with the missing cache classes, at the usual multiples of the input price."""
    base = price["input"]
    usual = {"cache_read": base / 10, "cache_write_5m": base * 5 / 4, "cache_write_1h": base * 2}
    return {**usual, **price}
