"""Makes a home's store usable before the daemon opens it: a damaged one is set aside, and what can be read of it is kept.

docs/reliability.md, "The store", gives the rules. In short: totals that can be read are kept, and facts that are lost are read again from
the transcripts without counting. Totals that cannot be read are computed again from the facts, after all transcripts were read again.

Each step can be killed at any moment. All work happens in the folder ``store.db.recovering``, which the next start finds.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from claude_hooks_otel.daemon.adoption import follow_found, follow_known
from claude_hooks_otel.daemon.assembly import Core, assemble_core, open_store
from claude_hooks_otel.delivery.acceptance import accepted_ns, is_store_behind
from claude_hooks_otel.facts.tables import TABLES
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.series.renewal import begin_again, recompute
from claude_hooks_otel.settings import Config
from claude_hooks_otel.store.connection import connect, read_meta, transaction
from claude_hooks_otel.store.damage import MOST_CHECKED, find_damage, is_damage
from claude_hooks_otel.store.salvage import Salvage, salvage
from claude_hooks_otel.store.store import Store, copy_to, files_of
from claude_hooks_otel.units import SECOND

# Tables whose rows transcripts can restore.
_FACTS: Final = frozenset(table.name for table in TABLES.values())
# Facts that pairing derives from the ledger. Their keys are times of its entries.
_PAIRED: Final = ("session_run", "subagent_turn")
# What the totals cannot be read without.
_TOTALS: Final = frozenset({"series", "declared_metric"})
# The named value of a store whose series have to begin again.
_RENEWAL: Final = "renewal"

# In the working folder: a whole copy of a store that was deleted while it was open.
_WHOLE: Final = "whole.db"

_log = logging.getLogger("claude_hooks_otel.daemon")


def prepare_store(
    home: Home, config: Config, now_ns: Callable[[], int] = time.time_ns, *, damage: str | None = None
) -> None:
    """Set a damaged store aside and recover it. Let the series begin again if endpoints have higher totals than the store.

    Args:
        home: the home. The caller holds its lock.
        config: what the owner has set.
        now_ns: the clock, Unix nanoseconds.
        damage: an error that the store has caused. Then it is recovered even if the check finds nothing.

    Raises:
        NewerStoreError: a newer version wrote the store.
        sqlite3.Error: the store cannot be used now, for example because it is locked.
        OSError: the same, for example because the disk is full.
    """
    _finish_earlier_recovery(home, config, now_ns)
    damage = _damage(home.store) or (damage if home.store.exists() else None)
    if damage is not None:
        _log.error("the store is damaged: %s", damage)
        _set_aside(home)
        _recover(home, config, now_ns)
    if home.store.exists():
        _renew_if_needed(home, config, now_ns)


def keep_open_store(home: Home, store: Store, now_ns: int) -> None:
    """Keep what an open store holds whose files were deleted or replaced. The caller closes it afterwards, and opens the home's store.

    If no other sound store is at its path, its content goes there again. Otherwise the other one counts, and the content is set aside.

    Args:
        home: the home. The caller holds its lock.
        store: the open store.
        now_ns: the time, Unix nanoseconds.

    Raises:
        sqlite3.Error: the content cannot be written now.
        OSError: the same.
    """
    folder = _recovering(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    copy = folder / "copying.db"
    try:
        copy_to(store.connection, copy)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        _log.exception("what the deleted store held cannot be read")
        shutil.rmtree(folder)
        return
    if store.is_replaced and find_damage(home.store) is None:
        aside = set_aside_name(home, "replaced", now_ns)
        copy.rename(aside)
        shutil.rmtree(folder)
        request_renewal(home.store)
        _log.warning("another store is at %s, and counts from now on. The one before it is in %s", home.store, aside)
        return
    copy.rename(folder / _WHOLE)
    _put_in_place(home)
    _log.warning("the store was deleted, and was written again from the open file. Nothing is lost")


def _put_in_place(home: Home) -> None:
    """Put a whole copy of the store at its path. The files there belong to a store that was deleted."""
    folder = _recovering(home)
    for file in files_of(home.store)[1:]:
        file.unlink(missing_ok=True)
    os.replace(folder / _WHOLE, home.store)  # noqa: PTH105
    shutil.rmtree(folder)


def replace_store(home: Home, copy: Path) -> Path | None:
    """Put a copy in the place of the store. The next start reads the transcripts, then lets the series begin again.

    Args:
        home: the home. The caller holds its lock.
        copy: a sound store.

    Returns:
        The folder with the store before, or None if there was none.

    Raises:
        sqlite3.Error: the copy cannot be read, or cannot be written.
        OSError: the same.
    """
    folder = _recovering(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(connect(copy, readonly=True)) as connection:
        copy_to(connection, folder / "copying.db")
    request_renewal(folder / "copying.db")
    aside = None
    if any(file.exists() for file in files_of(home.store)):
        aside = set_aside_name(home, "replaced", time.time_ns())
        aside.mkdir(mode=0o700)
        for file in files_of(home.store):
            if file.exists():
                (aside / file.name).hardlink_to(file)
    (folder / "copying.db").rename(folder / _WHOLE)  # from here on, the next start completes this
    _put_in_place(home)
    return aside


def request_renewal(store: Path) -> None:
    """Note in a store that was put in the place of another that its series have to begin again."""
    with closing(connect(store)) as connection, transaction(connection):
        _note_renewal(connection)


def damaged_stores(home: Home) -> list[Path]:
    """Return the folders with damaged stores that were set aside, the newest last."""
    return sorted(home.root.glob(f"{home.store.name}.damaged-*"))


def set_aside_name(home: Home, reason: str, at_ns: int) -> Path:
    """Return an unused dated name for files that are set aside.

    Args:
        home: the home.
        reason: why, such as ``damaged``.
        at_ns: the time, Unix nanoseconds.
    """
    date = datetime.fromtimestamp(at_ns / SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (
        home.root / f"{home.store.name}.{reason}-{date}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 1000)))
    )
    return next(name for name in names if not name.exists())


def _damage(store: Path) -> str | None:
    if not store.exists():
        return None
    thorough = store.stat().st_size <= MOST_CHECKED or files_of(store)[1].exists()
    return find_damage(store, thorough=thorough)


# -- setting aside -----------------------------------------------------------------------------------------------------------------


def _recovering(home: Home) -> Path:
    return home.root / f"{home.store.name}.recovering"


def _set_aside(home: Home) -> None:
    """Move the three files of the store together, the database first: without it, the next start goes on here."""
    folder = _recovering(home) / "damaged"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in files_of(home.store):
        with suppress(FileNotFoundError):
            file.rename(folder / file.name)


def _finish_earlier_recovery(home: Home, config: Config, now_ns: Callable[[], int]) -> None:
    folder = _recovering(home)
    if not folder.is_dir():
        return
    if (folder / _WHOLE).exists():
        _put_in_place(home)
    elif (folder / "damaged" / home.store.name).exists():
        if home.store.exists():
            _clean_up(home, now_ns())
        else:
            _set_aside(home)
            _recover(home, config, now_ns)
    else:
        shutil.rmtree(folder)


def _clean_up(home: Home, at_ns: int) -> None:
    """Give the damaged files their dated name, and remove the rest of the working folder."""
    folder = _recovering(home)
    if (folder / "damaged").is_dir():
        aside = set_aside_name(home, "damaged", at_ns)
        (folder / "damaged").rename(aside)
        _log.warning("the damaged store is in %s. Delete the folder when you do not need it", aside)
    shutil.rmtree(folder)


# -- recovering --------------------------------------------------------------------------------------------------------------------


def _recover(home: Home, config: Config, now_ns: Callable[[], int]) -> None:
    """Build a new store from the damaged one, and put it in its place."""
    damaged = _recovering(home) / "damaged" / home.store.name
    building = Home(_recovering(home) / "new")
    shutil.rmtree(building.root, ignore_errors=True)
    building.create()
    damaged_ns = max(file.stat().st_mtime_ns for file in files_of(damaged) if file.exists())
    found = salvage(damaged, building.store)
    known_tables = _known_tables(building.store)
    lost = found.lost | (known_tables - found.rows.keys())
    keeps_totals = bool(found.rows) and not lost & _TOTALS and "series" in found.rows
    store = open_store(building.store, lambda: _installed_ns(home, now_ns()))
    try:
        if not keeps_totals or "meta" in lost or "meta" not in found.rows:
            with store.transaction():
                _note_renewal(store.connection)
    finally:
        store.close()
    if not keeps_totals:
        _recompute_totals(building, config, now_ns, is_ledger_whole="ledger" not in lost)
    elif lost & _FACTS:
        _restore_facts(building, config, damaged_ns, are_cursors_whole="transcript_cursor" not in lost)
    os.replace(building.store, home.store)  # noqa: PTH105
    _log.warning("the store was recovered: %s", _describe(found, lost, keeps_totals=keeps_totals))
    _clean_up(home, now_ns())


def _known_tables(store: Path) -> set[str]:
    """Return the tables that the damaged store had, as far as it says so."""
    with closing(connect(store)) as connection:
        try:
            return set(read_meta(connection, "tables").split())
        except sqlite3.OperationalError:
            return set()  # the table with the named values is lost as well


def _installed_ns(home: Home, now_ns: int) -> int:
    """Return since when events are captured if no store says so: the age of the lock file, which the first daemon created."""
    try:
        return min(now_ns, home.lock.stat().st_mtime_ns)
    except OSError:
        return now_ns


def _note_renewal(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (_RENEWAL,))


def _describe(found: Salvage, lost: set[str], *, keeps_totals: bool) -> str:
    rows = f"{sum(found.rows.values())} rows could be read"
    if lost:
        rows += f"; rows of {', '.join(sorted(lost))} were lost"
    totals = (
        "the totals were kept" if keeps_totals else "the totals are computed again from the facts and the transcripts"
    )
    return f"{rows}; {totals}"


def _without_spans(config: Config) -> Config:
    return config.model_copy(update={"metrics": config.metrics.model_copy(update={"gen_ai": False})})


def _recompute_totals(building: Home, config: Config, now_ns: Callable[[], int], *, is_ledger_whole: bool) -> None:
    """Compute the totals from the facts that were read. All transcripts will be read again: see ``_renew_if_needed``.

    If entries of the ledger are lost, pairing could derive a fact again under another key. So such facts are derived from what is left.
    """
    core = assemble_core(building, _without_spans(config), now_ns)
    with closing(core.store), core.store.transaction():
        for table in () if is_ledger_whole else _PAIRED:
            core.store.connection.execute(f"DELETE FROM {table}")  # noqa: S608
        recompute(core.facts, core.totals)
        core.store.connection.execute("DELETE FROM transcript_cursor")


def _restore_facts(building: Home, config: Config, damaged_ns: int, *, are_cursors_whole: bool) -> None:
    """Read the transcripts again up to where they were counted. Facts that were lost come back, and no total changes.

    If a cursor was lost, its transcript counts as read to its end.
    """
    with closing(connect(building.store)) as connection, transaction(connection):
        cursors = connection.execute("SELECT * FROM transcript_cursor").fetchall()
        followed = connection.execute("SELECT * FROM followed_session").fetchall()
        ends = dict(_read_so_far(connection))
        connection.execute("UPDATE transcript_cursor SET offset = 0, last_ns = 0, mark = x'', prompt_id = ''")
    core = assemble_core(
        building,
        _without_spans(config),
        lambda: damaged_ns,
        counted_until=lambda key: ends.get(key, 0 if are_cursors_whole else None),
    )
    with closing(core.store):
        follow_known(core, config)
        core.intake.follow_sessions(everything=True, pair_now=True)
        with core.store.transaction():
            connection = core.store.connection
            if are_cursors_whole:
                connection.execute("DELETE FROM transcript_cursor")
            marks = ", ".join("?" * len(cursors[0])) if cursors else ""
            connection.executemany(f"INSERT OR REPLACE INTO transcript_cursor VALUES ({marks})", cursors)  # noqa: S608
            connection.execute("DELETE FROM followed_session")
            connection.executemany("INSERT INTO followed_session VALUES (?)", followed)


def _read_so_far(connection: sqlite3.Connection) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the key of each transcript and the offset up to which it was read."""
    for session_id, agent_id, furthest, offset in connection.execute(
        "SELECT session_id, agent_id, COALESCE(furthest, 0), offset FROM transcript_cursor"
    ):
        yield (session_id, agent_id), max(furthest, offset)


# -- series that begin again -------------------------------------------------------------------------------------------------------


def _renew_if_needed(home: Home, config: Config, now_ns: Callable[[], int]) -> None:
    """Read all transcripts, then let the series begin again, if the store can have lower totals than an endpoint."""
    with closing(connect(home.store, readonly=True)) as connection:
        is_wanted = bool(read_meta(connection, _RENEWAL))
        is_behind = is_store_behind(home.store, connection)
    if not (is_wanted or is_behind):
        return
    if is_behind and not is_wanted:
        _log.error("the store is older than what an endpoint has accepted, as after the loss of its WAL")
    core = assemble_core(home, _without_spans(config), now_ns)
    with closing(core.store):
        _catch_up(core, home, config)
        with core.store.transaction():
            begin_again(core.facts, now_ns(), accepted_ns(home.store, core.store.connection))
            core.store.connection.execute("DELETE FROM meta WHERE name = ?", (_RENEWAL,))
    _log.warning("the series begin again under a new service.instance.id. Endpoints keep what they have")


def _catch_up(core: Core, home: Home, config: Config) -> None:
    """Read what the transcripts have in addition to the store, also those of sessions that the store does not have."""
    follow_known(core, config)
    follow_found(core, config, home.spool)
    core.intake.follow_sessions(everything=True, pair_now=True)
