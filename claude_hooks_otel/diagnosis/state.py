"""From the spool to the store: the home, the configuration, the daemon, and what it has read."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from claude_hooks_otel import __version__
from claude_hooks_otel.daemon.assembly import price_overrides
from claude_hooks_otel.daemon.recovery import damaged_stores
from claude_hooks_otel.diagnosis.finding import INSTALL, Finding, Level, Surroundings, fail, info, ok, warn
from claude_hooks_otel.facts.pricing import TokenUsage, request_cost
from claude_hooks_otel.home.lock import is_running
from claude_hooks_otel.home.ownership import ForeignHomeError, check_owner, foreign_files
from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.metrics.outcomes import LOSSES
from claude_hooks_otel.series.totals import read_points
from claude_hooks_otel.settings import Config, ConfigError, load_usable, managed_variables
from claude_hooks_otel.sources.registration import OLDEST_CLIENT
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain, find_damage
from claude_hooks_otel.store.schema import SCHEMA_VERSION
from claude_hooks_otel.timeline import IN_USE_FOR
from claude_hooks_otel.units import SECOND, duration_text

RECOVER = (
    "Run `claude-hooks-otel daemon --stop`, then `claude-hooks-otel flush`: the store is set aside, what can be read of it is kept, "
    "and the transcripts are read again."
)
# Free bytes below which events may soon be lost, and below which they are lost.
LITTLE_SPACE, NO_SPACE = 200_000_000, 2_000_000
# With more waiting events, or an event waiting for more seconds, a running daemon does not keep up.
LONG_QUEUE, LONG_WAIT = 5_000, 60.0
# Seconds. Importing everything takes no longer, even on a slow machine.
_IMPORT_TIMEOUT = 60


def home_folder(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the home exists, is private and writable, and that its disk has room."""
    root = surroundings.home.root
    try:
        status = root.stat()
    except OSError as error:
        yield fail("home", f"{root}: {error.strerror}", surroundings.install_remedy)
        return
    try:
        check_owner(surroundings.home)
    except ForeignHomeError as error:
        observed, _, remedy = str(error).partition(". ")
        yield fail("home", observed, remedy)
        return
    if not surroundings.home.is_trusted(surroundings.environ):
        yield warn("home", f"{root}: hooks start no daemon here, because no install has recorded it", INSTALL)
    mode = stat.S_IMODE(status.st_mode)
    free = shutil.disk_usage(root).free
    if not os.access(root, os.W_OK | os.X_OK):
        yield fail("home", f"{root} is not writable", f"Run `chmod 700 '{root}'`.")
    elif mode & 0o077:
        yield warn("home", f"{root} is accessible to other users (mode {mode:04o})", f"Run `chmod 700 '{root}'`.")
    elif free < LITTLE_SPACE:
        level = Level.FAIL if free < NO_SPACE else Level.WARN
        yield Finding(
            "home", level, f"{root}: {free / 1e6:.0f} MB left on its disk", "Free some space. A full disk loses events."
        )
    else:
        yield ok("home", f"{root}, {free / 1e9:.1f} GB free")


def configuration(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the configuration file can be used."""
    path, config = surroundings.home.config, surroundings.config
    if isinstance(config, ConfigError):
        problem = load_usable(path, surroundings.home.last_config, {})[1]
        yield fail(
            "configuration", problem, "Correct the file. A running daemon keeps its configuration until it stops."
        )
    elif path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield warn(
            "configuration", f"{path} is accessible to other users and may hold secrets", f"Run `chmod 600 '{path}'`."
        )
    else:
        observed = str(path) if path.exists() else "no file, so the defaults apply"
        managed = ", ".join(sorted(managed_variables(surroundings.managed)))
        yield ok("configuration", f"{observed}; the organization's settings set {managed}" if managed else observed)


def interpreter(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the Python that hooks start has the package in this version, with all its dependencies."""
    if (program := surroundings.managed_program) is not None:
        yield _version_of(surroundings, str(program), [str(program), "-V"])
        return
    file = surroundings.home.interpreter
    try:
        python = file.read_text().strip()
    except OSError:
        on_path = shutil.which("claude-hooks-otel", path=surroundings.environ.get("PATH"))
        level = Level.WARN if on_path else Level.FAIL
        yield Finding(
            "interpreter",
            level,
            f"{file} is missing" + (f"; hooks try {on_path}" if on_path else ""),
            surroundings.install_remedy,
        )
        return
    code = "import claude_hooks_otel, claude_hooks_otel.daemon.loop; print(claude_hooks_otel.__version__)"
    yield _version_of(surroundings, python, [python, "-E", "-P", "-c", code])


def _version_of(surroundings: Surroundings, program: str, command: list[str]) -> Finding:
    """Return whether a program that hooks start has the package in this version. The command prints its version as the last word."""
    try:
        done = subprocess.run(
            command,
            cwd="/", env=dict(surroundings.environ), capture_output=True, text=True, check=False, timeout=_IMPORT_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer"
        return fail("interpreter", f"{program} cannot be run: {reason}", INSTALL)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return fail(
            "interpreter",
            f"{program} cannot import the package: {last[0]}",
            "Run `claude-hooks-otel install` from an environment that has it.",
        )
    version = (done.stdout.split() or [""])[-1]
    if version != __version__:
        return warn("interpreter", f"{program} has version {version}, this is {__version__}", INSTALL)
    return ok("interpreter", f"{program} has version {version}")


def daemon(surroundings: Surroundings) -> Iterator[Finding]:
    """Check whether the daemon runs, or why it ended."""
    home = surroundings.home
    if is_running(home):
        pid = home.pid.read_text().strip() if home.pid.exists() else "unknown"
        yield ok("daemon", f"running, process {pid}")
        return
    try:
        last = home.log.read_text(errors="replace").rstrip().splitlines()[-1:]
        failed = "could not start" in home.log.read_text(errors="replace").rpartition(" started;")[2]
    except OSError:
        last, failed = [], False
    if failed:
        yield fail("daemon", f"it could not start: {''.join(last)}", f"Look at {home.log}.")
    else:
        yield ok("daemon", f"not running; {surroundings.next_start}")


def spool(surroundings: Surroundings) -> Iterator[Finding]:
    """Check how many events wait, for how long, and how many were unreadable."""
    box = Spool(surroundings.home.spool)
    waiting = box.depth()
    oldest = min(
        (path.stat().st_mtime for _, path in zip(range(LONG_QUEUE), _files(box), strict=False)), default=time.time()
    )
    running, age = is_running(surroundings.home), time.time() - oldest
    if waiting > LONG_QUEUE or (running and waiting and age > LONG_WAIT):
        remedy = f"Look at {surroundings.home.log}." if running else "Run `claude-hooks-otel flush` to read them now."
        yield warn("spool", f"{waiting} waiting, the oldest for {duration_text(age)}", remedy)
    else:
        yield ok("spool", f"{waiting} waiting")
    if broken := sum(1 for _ in box.broken.iterdir()) if box.broken.is_dir() else 0:
        yield warn(
            "spool",
            f"{broken} unreadable events were set aside",
            f"Look at {box.broken}, and delete what you do not need.",
        )


def _files(box: Spool) -> Iterator[Any]:
    if box.new.is_dir():
        yield from (path for path in box.new.iterdir() if path.is_file())


def store(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the store can be read, and report losses, missing prices and unknown data."""
    path = surroundings.home.store
    if not path.exists():
        yield info("store", "no event has been read yet", "Run a session, then `claude-hooks-otel flush`.")
        return
    try:
        if damage := find_damage(path):
            yield fail("store", f"{path} is damaged: {damage}", RECOVER)
        else:
            with closing(connect(path, readonly=True)) as connection:
                yield from _store(connection)
                yield from _aliases(connection, surroundings)
                yield from _old_clients(connection)
    except sqlite3.Error as error:
        if any(foreign_files(surroundings.home)):
            return  # the finding about the home says what to do
        observed, _, remedy = explain(path, error).partition(". ")
        yield fail("store", observed, remedy)
    yield from _set_aside(surroundings)


def _set_aside(surroundings: Surroundings) -> Iterator[Finding]:
    if aside := damaged_stores(surroundings.home):
        found = f"{len(aside)} damaged stores were" if len(aside) > 1 else "a damaged store was"
        yield info(
            "store",
            f"{found} set aside, last in {aside[-1]}; {surroundings.home.log} says what was recovered",
            "Delete what you do not need.",
        )


def _store(connection: sqlite3.Connection) -> Iterator[Finding]:
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    schema = int(meta.get("schema_version", SCHEMA_VERSION))
    sessions, newest = connection.execute(
        "SELECT (SELECT COUNT(*) FROM session), (SELECT MAX(received_ns) FROM ledger)"
    ).fetchone()
    if schema > SCHEMA_VERSION:
        yield fail("store", f"a newer version wrote it (schema {schema})", "Install the newer version again.")
        return
    yield ok("store", f"{sessions} sessions, schema {schema}")
    if newest is None:
        yield warn(
            "last event",
            "none has been read yet",
            "Restart your sessions. Claude Code reads hooks only when a session starts.",
        )
    else:
        yield ok("last event", f"{duration_text((time.time_ns() - newest) / SECOND)} ago")
    yield from _contents(connection)


def _contents(connection: sqlite3.Connection) -> Iterator[Finding]:
    dropped: list[str] = []
    items: list[str] = []
    unpriced: list[str] = []
    damage: dict[str, int] = {}
    for point in read_points(connection, catalog.CATALOG):
        labels = dict(point.labels)
        if point.metric is catalog.HOOK_EVENTS_DROPPED:
            dropped.append(f"{point.value} {labels['reason']}")
        elif point.metric is catalog.RECORDS_DROPPED:
            items.append(f"{point.value} {labels['signal']} {labels['reason']}")
        elif point.metric is catalog.UNPRICED_TOKENS and point.value:
            unpriced.append(labels["model"])
        elif point.metric is catalog.TRANSCRIPT_DAMAGE:
            damage[labels["reason"]] = point.value
    if dropped:
        yield warn(
            "lost events",
            ", ".join(dropped),
            "spool_full: free some space on the disk. spool_budget: nothing read the spool for too long; raise the limits in [spool], or "
            "find out why no daemon ran. total_full: a number was absurdly large. unreadable, error: look at spool/broken.",
        )
    if items:
        yield warn(
            "lost spans and log events",
            ", ".join(items),
            "expired, outbox_full: raise [outbox] max_age_hours or max_megabytes. Other reasons: see the endpoint's own log.",
        )
    if unpriced:
        models = sorted(set(unpriced))
        yield warn("prices", f"there is no price for {', '.join(models)}: no cost figure includes these tokens", f'Add [prices."{models[0]}"] with input and output (dollars per million tokens) to the configuration.')  # fmt: skip
    if damage:
        details = connection.execute(
            "SELECT name FROM drift WHERE kind = 'transcript' ORDER BY seen DESC LIMIT 5"
        ).fetchall()
        yield _transcripts(damage, [name for (name,) in details])
    drift = connection.execute(
        "SELECT kind, name FROM drift WHERE kind != 'transcript' ORDER BY seen DESC LIMIT 10"
    ).fetchall()
    if drift:
        seen = ", ".join(f"{kind} {name}" for kind, name in drift)
        yield info(
            "client",
            f"Claude Code sends data that this version does not recognize: {seen}",
            "This version ignores it. A newer version may use it.",
        )


def _aliases(connection: sqlite3.Connection, surroundings: Surroundings) -> Iterator[Finding]:
    """Name requested models without a price, such as a gateway's aliases. They cost what the answering model costs."""
    config = surroundings.config
    overrides = price_overrides(config) if isinstance(config, Config) else {}
    rows = connection.execute(
        "SELECT model, answering_model, MAX(at_ns) FROM api_request "
        "WHERE cost IS NOT NULL AND model != answering_model GROUP BY model, answering_model ORDER BY model"
    )
    found = [
        f"{normalize(requested)} as {normalize(answering)}"
        for requested, answering, at_ns in rows
        if request_cost(TokenUsage(), requested, timestamp_ns=at_ns, overrides=overrides) is None
    ]
    if found:
        yield info(
            "prices",
            f"priced by the model that answered: {', '.join(found)}",
            'If that is not what you pay, add [prices."…"] for the requested name to the configuration.',
        )


def _old_clients(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Name the versions of Claude Code in use that are older than the oldest supported one."""
    rows = connection.execute(
        "SELECT DISTINCT client_version FROM session WHERE client_version IS NOT NULL AND last_seen_ns > ?",
        (time.time_ns() - IN_USE_FOR,),
    )
    versions = sorted(tuple(int(part) for part in version.split(".") if part.isdecimal()) for (version,) in rows)
    old = [".".join(map(str, version)) for version in versions if version < OLDEST_CLIENT]
    if old:
        yield warn(
            "client version",
            f"sessions of Claude Code {', '.join(old)}: their figures may lack something",
            f"Update Claude Code. The oldest version that is tested is {'.'.join(map(str, OLDEST_CLIENT))}.",
        )


def _transcripts(damage: Mapping[str, int], details: Sequence[str]) -> Finding:
    """Return what is wrong with lines of transcripts: a warning if a record is lost, because then figures are too small."""
    found = ", ".join([*(f"{count} {reason}" for reason, count in damage.items()), *details])
    if LOSSES.isdisjoint(damage):
        return info(
            "transcripts", f"damaged lines were read: {found}", "All records were read, without the damaged parts."
        )
    return warn(
        "transcripts",
        f"records in damaged lines could not be read: {found}",
        "The figures lack what these records held. Other records on the same lines were read.",
    )


CHECKS = (home_folder, configuration, interpreter, daemon, spool, store)
