"""``uninstall``: takes the hooks out of Claude Code's settings, and puts back what was there."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import JsonOption, note, print_json, say
from claude_hooks_otel.cli.options import DryRunOption, ScopeOption, SettingsOption, open_settings
from claude_hooks_otel.home.ownership import check_owner
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.installation.changes import InstalledChanges
from claude_hooks_otel.installation.differences import differences
from claude_hooks_otel.installation.home_files import forget_home, home_of
from claude_hooks_otel.installation.hook_entries import registered_commands, unregister
from claude_hooks_otel.installation.managed import managed_registrations
from claude_hooks_otel.installation.purge import PurgeError
from claude_hooks_otel.installation.purge import purge as purge_home
from claude_hooks_otel.installation.settings_file import Scope, SettingsError, SettingsFile, path_of
from claude_hooks_otel.installation.status_line import command_of, is_ours

AllOption = Annotated[
    bool, typer.Option("--all", help="Take the hooks out of every settings file that install has changed.")
]
PurgeOption = Annotated[bool, typer.Option("--purge", help="Also delete everything that was captured and configured.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --purge deletes.")]


@dataclass(slots=True)
class _Done:
    """What one run did to one settings file, or would do.

    Attributes:
        file: the settings file.
        dry_run: whether nothing was written.
        removed: how many hooks were taken out.
        restored: the names of the variables, and of the setting ``statusLine``, that are as they were before.
        deleted: whether the file itself went, because install had made it.
        changes: what changes in the file, a line each.
        backup: the copy of the file as it was before this run. There is none if the file is as it was before install.
        deleted_backups: the copies that install had made and that are not needed any more.
    """

    file: str
    dry_run: bool
    removed: int
    restored: list[str]
    deleted: bool
    changes: list[str]
    backup: str | None = None
    deleted_backups: list[str] = field(default_factory=list)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel uninstall --all --purge")
    def uninstall(
        scope: ScopeOption = Scope.USER,
        settings: SettingsOption = None,
        everywhere: AllOption = False,
        purge: PurgeOption = False,
        yes: YesOption = False,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Take the hooks out of Claude Code's settings. What was captured stays, unless --purge is given."""
        path = settings or path_of(scope, os.environ, Path.cwd())
        file = open_settings(path)
        home = home_of(file.env, os.environ)
        check_owner(home)
        installed = InstalledChanges(home)
        paths = [path, *(_others(installed, path) if everywhere else ())]
        left = [] if everywhere else [other for other in _others(installed, path) if _has_hooks(other)]
        if purge and not dry_run:
            if not everywhere:
                _refuse_others(installed, path, home.root)
            _confirm(home, yes=yes or as_json)
        done = [_take_out(open_settings(each), installed, dry_run=dry_run) for each in paths]
        deleted = _purge_or_save(home, installed, purge=purge, dry_run=dry_run)
        if as_json:
            print_json(
                "uninstall",
                files=[asdict(each) for each in done],
                home=str(home.root),
                home_deleted=deleted,
                files_with_hooks=[str(other) for other in left],
                managed_files=[str(managed) for managed in managed_registrations()],
            )
            return
        for each in done:
            _print(each)
        for managed in managed_registrations():
            note(
                f"your organization's managed settings register the hooks: {managed}. Only an administrator can remove them."
            )
        _print_home(home, deleted=deleted, purge=purge, dry_run=dry_run)
        for other in left:
            note(
                f"{other} still has entries of ours. Run `claude-hooks-otel uninstall --settings {shlex.quote(str(other))}`, or --all."
            )


def _take_out(file: SettingsFile, installed: InstalledChanges, *, dry_run: bool) -> _Done:
    """Take our part out of one settings file. The file goes if ``install`` made it and nothing else is in it."""
    before = json.loads(json.dumps(file.document.value))
    changes = installed.of(file.path)
    removed = unregister(file.document)
    restored = changes.restore_env(file.document)
    restored += ["statusLine"] if changes.restore_status_line(file.document) else []
    changes.remove_empty(file.document)
    empty = file.exists and changes.made_file and file.document.value == {}
    done = _Done(str(file.path), dry_run, removed, restored, empty, list(differences(before, file.document.value)))
    if dry_run:
        return done
    is_restored = empty or changes.is_original(file.after)
    if empty:
        file.delete()
    elif file.exists and file.changed:
        backup = file.write(with_backup=not is_restored)
        done.backup = str(backup) if backup else None
    if is_restored:
        done.deleted_backups = [str(backup) for backup in changes.delete_backups()]
    installed.forget(file.path)
    return done


def _purge_or_save(home: Home, installed: InstalledChanges, *, purge: bool, dry_run: bool) -> bool:
    """Delete the home, or save what is still installed. Return whether the home was deleted."""
    if dry_run or not home.root.is_dir():
        return False
    if not purge:
        installed.save()
        return False
    purge_home(home)
    forget_home(home, os.environ)
    return True


def is_terminal() -> bool:
    """Return whether a person can answer."""
    return sys.stdin.isatty()


def _confirm(home: Home, *, yes: bool) -> None:
    """Ask once, on a terminal, before everything is deleted."""
    if not yes and home.root.is_dir() and is_terminal():
        typer.confirm(f"Delete everything that was captured and configured in {home.root}?", abort=True)


def _print(done: _Done) -> None:
    if done.dry_run:
        say(f"Would take {done.removed} hooks out of {done.file}" + (", and delete the file" if done.deleted else ""))
        for line in done.changes:
            say(line)
        return
    if done.removed or done.restored:
        say(f"Took {done.removed} hooks out of {done.file}.")
    else:
        say(f"Nothing of ours was in {done.file}.")
    if done.restored:
        say(f"Put back as they were: {', '.join(done.restored)}")
    if done.backup:
        say(f"Backup: {done.backup}")
    if done.deleted_backups:
        count = len(done.deleted_backups)
        say(f"The file is as it was before install, so {count} backup{'s' if count > 1 else ''} of it went.")


def _print_home(home: Home, *, deleted: bool, purge: bool, dry_run: bool) -> None:
    if deleted:
        say(f"Deleted {home.root}.")
    elif home.root.is_dir():
        kept = f"What was captured stays in {home.root} (--purge deletes it)."
        say(kept if not (dry_run and purge) else f"Would delete {home.root}")


def _others(installed: InstalledChanges, path: Path) -> list[Path]:
    """Return the other settings files that install has changed and that still exist."""
    own = Path(os.path.realpath(path))
    return [other for other in installed.settings_files if other != own and other.exists()]


def _has_hooks(path: Path) -> bool:
    """Return whether a settings file has our hooks or our status line. One that cannot be read may have them."""
    try:
        values = SettingsFile(path).document.value
        return bool(registered_commands(values.get("hooks"))) or is_ours(command_of(values))
    except SettingsError:
        return True


def _refuse_others(installed: InstalledChanges, path: Path, root: Path) -> None:
    """Refuse to purge a home that other settings files still use: without it, nothing restores them."""
    if others := _others(installed, path):
        listing = ", ".join(map(str, others))
        raise PurgeError(
            f"{root} still serves {listing}. Add --all, or run `claude-hooks-otel uninstall --settings FILE` for each first."
        )
