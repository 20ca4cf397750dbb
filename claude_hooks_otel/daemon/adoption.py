"""Sessions whose transcripts are read again after a recovery: those that the store has, and those that it lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from claude_hooks_otel.daemon.assembly import Core
from claude_hooks_otel.daemon.identity import identity_resolver
from claude_hooks_otel.facts import model
from claude_hooks_otel.settings import Config
from claude_hooks_otel.sources import hook_payloads
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.hook_payloads import PayloadError, SessionStart
from claude_hooks_otel.sources.spool import Spool
from claude_hooks_otel.sources.transcript_files import read_lines
from claude_hooks_otel.store.connection import read_meta

# Lines at the beginning of a transcript in which its folder is looked for, and waiting events that are looked at.
_FIRST_LINES: Final = 50
_MOST_EVENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What the events in the spool say. ``new`` are the sessions that begin there: they were never counted."""

    folders: frozenset[Path]
    new: frozenset[str]


def follow_known(core: Core, config: Config) -> None:
    """Follow every session of which the store has anything. A session whose own row is lost gets one."""
    connection = core.store.connection
    paths: dict[str, str | None] = dict(connection.execute("SELECT DISTINCT session_id, NULL FROM ledger"))
    paths |= dict(connection.execute("SELECT session_id, path FROM transcript_cursor WHERE agent_id = ''"))
    paths |= {
        session.session_id: session.transcript_path or paths.get(session.session_id)
        for session in core.facts.select(model.Session)
    }
    lost = {session_id for session_id, path in paths.items() if not path}
    if lost:
        for path in _transcripts(_known_folders(core)):
            if path.stem in lost:
                paths[path.stem] = str(path)
    _follow(core, config, paths)


def follow_found(core: Core, config: Config, spool: Path) -> None:
    """Follow also the sessions that only their transcripts show: those next to known transcripts, or else of all projects.

    A transcript that ends before capturing began is left out, and so is a session whose beginning waits in the spool.
    """
    waiting = _read_spool(spool)
    folders = _known_folders(core) | waiting.folders or set(_all_projects())
    since_ns = int(read_meta(core.store.connection, "history_ns") or read_meta(core.store.connection, "created_ns"))
    known = {session.session_id for session in core.facts.select(model.Session)}
    found = {path.stem: str(path) for path in _transcripts(folders) if _is_newer(path, since_ns)}
    _follow(core, config, {name: path for name, path in found.items() if name not in known | waiting.new})


def _follow(core: Core, config: Config, paths: dict[str, str | None]) -> None:
    resolve = identity_resolver(config, is_live=False)
    facts = core.facts
    with core.store.transaction():
        for session_id, path in paths.items():
            session = facts.get(model.Session, session_id)
            if path and (session is None or not session.transcript_path):
                directory, seen_ns = _beginning(Path(path))
                identity = facts.identities.at(session_id, seen_ns) or resolve({}, directory)
                seen = seen_ns if session is None else None
                facts.upsert(
                    model.Session(
                        session_id=session_id,
                        first_seen_ns=seen,
                        last_seen_ns=seen,
                        transcript_path=path,
                        **identity.columns(),
                    )
                )
                facts.identities.note(session_id, seen_ns, facts.identities.at(session_id, seen_ns) or identity)
        core.intake.follow_again(paths)


def _beginning(transcript: Path) -> tuple[str | None, int]:
    """Return the project folder that a transcript names first, and when the file was last written, Unix nanoseconds."""
    seen_ns, directory = 0, None
    with suppress(OSError):
        seen_ns = transcript.stat().st_mtime_ns
        for line, _ in islice(read_lines(transcript, 0), _FIRST_LINES):
            with suppress(ValueError, RecursionError):
                record = json.loads(line or b"")
                if isinstance(record, dict) and isinstance(record.get("cwd"), str):
                    directory = record["cwd"]
                    break
    return directory, seen_ns


def _read_spool(root: Path) -> _Waiting:
    folders, new = set(), set()
    for entry in Spool(root).take(_MOST_EVENTS):
        if not isinstance(entry, Envelope):
            continue
        with suppress(PayloadError):
            event = hook_payloads.parse(entry.payload)
            if event.transcript_path:
                folders.add(Path(event.transcript_path).parent)
            if isinstance(event, SessionStart) and event.source in ("startup", "clear"):
                new.add(event.session_id)
    return _Waiting(frozenset(folders), frozenset(new))


def _known_folders(core: Core) -> set[Path]:
    rows = core.store.connection.execute(
        "SELECT transcript_path FROM session WHERE transcript_path IS NOT NULL "
        "UNION SELECT path FROM transcript_cursor WHERE agent_id = '' AND path IS NOT NULL"
    )
    return {Path(path).parent for (path,) in rows}


def _all_projects() -> Iterator[Path]:
    settings = os.environ.get("CLAUDE_CONFIG_DIR") or (
        Path(os.environ["HOME"], ".claude") if "HOME" in os.environ else None
    )
    if settings is not None:
        with suppress(OSError):
            yield from Path(settings, "projects").iterdir()


def _transcripts(folders: set[Path]) -> Iterator[Path]:
    """Yield the sessions' own transcripts in some folders."""
    for folder in sorted(folders):
        with suppress(OSError):
            yield from (
                path for path in sorted(folder.glob("*.jsonl")) if not path.name.startswith("agent-") and path.is_file()
            )


def _is_newer(path: Path, since_ns: int) -> bool:
    try:
        return path.stat().st_mtime_ns >= since_ns
    except OSError:
        return False
