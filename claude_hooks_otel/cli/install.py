"""``install`` and ``uninstall``: change Claude Code's settings and the home's files, and leave everything else as it is."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import fail, out
from claude_hooks_otel.home.ownership import ForeignHomeError, check_owner
from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.installation.advice import next_steps, warnings
from claude_hooks_otel.installation.changes import InstalledChanges
from claude_hooks_otel.installation.home_files import HomeFiles, forget_home, home_of, is_usual, otel_variables
from claude_hooks_otel.installation.hook_entries import check_shape, unregister
from claude_hooks_otel.installation.hook_entries import register as register_hooks
from claude_hooks_otel.installation.plugin_options import token_headers
from claude_hooks_otel.installation.purge import PurgeError, tell_to_stop
from claude_hooks_otel.installation.purge import purge as purge_home
from claude_hooks_otel.installation.settings_file import Scope, SettingsError, SettingsFile, path_of
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.settings import ConfigError


def _filled(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("The value is empty. Leave the option out.")
    return value


ScopeOption = Annotated[
    Scope,
    typer.Option(
        help="user: all your sessions. project: everybody's sessions in this folder. local: yours in this folder."
    ),
]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="Change this settings file instead of a scope's.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, but change nothing.")]


AgentOption = Annotated[
    str | None,
    typer.Option(
        callback=_filled, help="The agent label of these sessions (CLAUDE_AGENT_ID). It replaces the one of your shell."
    ),
]
ProjectOption = Annotated[
    str | None, typer.Option(callback=_filled, help="The project label. The default is the repository's name.")
]
TeamOption = Annotated[str | None, typer.Option(callback=_filled, help="The team label.")]
SprintOption = Annotated[str | None, typer.Option(callback=_filled, help="The sprint label.")]
EndpointOption = Annotated[
    str | None, typer.Option(callback=_filled, metavar="URL", help="The OTLP endpoint to export to.")
]
ProtocolOption = Annotated[
    str | None, typer.Option(callback=_filled, help="grpc or http/protobuf. The default follows from the port.")
]
ExporterOption = Annotated[
    str | None, typer.Option(callback=_filled, help="OTEL_METRICS_EXPORTER: otlp, console or none.")
]
PluginOption = Annotated[bool, typer.Option("--plugin", help="The plugin registers the hooks. Set up everything else.")]
PurgeOption = Annotated[bool, typer.Option("--purge", help="Also delete everything that was captured and configured.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def install(
        scope: ScopeOption = Scope.USER,
        settings: SettingsOption = None,
        agent: AgentOption = None,
        project: ProjectOption = None,
        team: TeamOption = None,
        sprint: SprintOption = None,
        endpoint: EndpointOption = None,
        protocol: ProtocolOption = None,
        exporter: ExporterOption = None,
        plugin: PluginOption = False,
        dry_run: DryRunOption = False,
    ) -> None:
        """Register the hooks in Claude Code's settings, and set up the daemon that they start."""
        labels = {
            "CLAUDE_AGENT_ID": agent,
            "CLAUDE_AGENT_PROJECT": project,
            "CLAUDE_AGENT_TEAM": team,
            "CLAUDE_AGENT_SPRINT": sprint,
        }
        options = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_METRICS_EXPORTER": exporter,
        }
        shared = settings is None and scope is Scope.PROJECT
        with _explained_errors():
            path = settings or path_of(scope, os.environ, Path.cwd())
            _Installation(path, _given(labels), _given(options), shared=shared, plugin=plugin).run(dry_run=dry_run)

    @app.command()
    def uninstall(
        scope: ScopeOption = Scope.USER,
        settings: SettingsOption = None,
        purge: PurgeOption = False,
        dry_run: DryRunOption = False,
    ) -> None:
        """Take the hooks out of Claude Code's settings. What was captured stays, unless --purge is given."""
        with _explained_errors():
            _uninstall(settings or path_of(scope, os.environ, Path.cwd()), purge=purge, dry_run=dry_run)


@contextmanager
def _explained_errors() -> Iterator[None]:
    """Turn an error about a file or a setting into a message and an exit code."""
    try:
        yield
    except (SettingsError, ConfigError, PurgeError, ForeignHomeError, RuntimeError, FileNotFoundError) as error:
        fail(escape(str(error)))
    except OSError as error:
        fail(
            escape(f"{error.filename}: {error.strerror}. Make it writable, or name another folder in {HOME_VARIABLE}.")
        )


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _open(path: Path) -> SettingsFile:
    file = SettingsFile(path)
    try:
        check_shape(file.document)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return file


class _Installation:
    """One run of ``install``: prepares every change first, then writes them or shows them.

    Args:
        path: the settings file.
        labels: the variables that the options set for its sessions.
        options: the ``OTEL_*`` variables that the options set for the daemon.
        shared: whether other people use the settings file, too.
        plugin: whether the plugin registers the hooks.
    """

    def __init__(
        self, path: Path, labels: dict[str, str], options: dict[str, str], *, shared: bool, plugin: bool
    ) -> None:
        self._file = _open(path)
        self._home = home_of(self._file.env, os.environ)
        check_owner(self._home)
        token = token_headers(self._home, otel_variables(os.environ)) if plugin else {}
        self._files = HomeFiles(self._home, token | options, os.environ, with_emit=not plugin)
        self._installed = InstalledChanges(self._home)
        self._labels = labels
        self._shared = shared
        self._plugin = plugin
        self._usual = is_usual(self._home, os.environ)
        self._pinned = {} if self._usual or shared else {HOME_VARIABLE: str(self._home.root)}
        self._change_document()

    def run(self, *, dry_run: bool) -> None:
        """Write everything, or show what would be written, and print what a person should know."""
        if dry_run:
            _show_difference(self._file)
        _print_written(self._file, self._files, dry_run=dry_run)
        if not dry_run:
            self._write()
        for note in self._notes():
            out.print(f"[yellow]note[/]: {escape(note)}", soft_wrap=True)
        for step in () if dry_run else next_steps(self._files.config, plugin=self._plugin):
            out.print(escape(step), soft_wrap=True)

    def _change_document(self) -> None:
        document = self._file.document
        changes = self._installed.of(self._file.path)
        changes.made_file = changes.made_file or not self._file.exists
        if self._plugin:
            unregister(document)
            changes.remove_empty(document)
        else:
            changes.made += [made for made in register_hooks(document) if made not in changes.made]
        changes.set_env(document, self._labels | self._pinned)

    def _write(self) -> None:
        if self._files.write() and tell_to_stop(self._home):
            out.print("Told the running daemon to stop. The next session starts it with the new configuration.")
        self._installed.save()
        if self._file.changed and (backup := self._file.write()):
            out.print(f"Backup: {escape(str(backup))}", soft_wrap=True)

    def _notes(self) -> Iterator[str]:
        yield from _label_notes(self._labels)
        yield from warnings(self._file.document.value, plugin=self._plugin)
        if self._shared and not self._usual:
            yield (
                f"other people share these settings, so they do not name your home {self._home.root}. "
                f"Set {HOME_VARIABLE} wherever Claude Code is started, or use --scope local."
            )
        if self._pinned:
            yield f"events go to {self._home.root}. Keep {HOME_VARIABLE} set in your shell for the other commands."


def _label_notes(labels: Mapping[str, str]) -> Iterator[str]:
    """Return a note for each name that the metrics spell differently."""
    for name, value in labels.items():
        if (label := normalize(value)) != value:
            yield f"{name} {value!r} counts under the label {label!r}."


def _print_written(file: SettingsFile, files: HomeFiles, *, dry_run: bool) -> None:
    """Print what is (or would be) written. Values of variables may be secret, so only their names are shown."""
    written = [*([file.path] if file.changed else []), *files.changed]
    if not written:
        out.print("Everything is in place already.")
    for path in written:
        out.print(f"{'Would write' if dry_run else 'Wrote'} {escape(str(path))}", soft_wrap=True)
    if files.taken_over and files.config_changed:
        out.print(
            f"Taken over from your environment, which the daemon never sees: {', '.join(files.taken_over)}",
            soft_wrap=True,
        )
    for name in files.left_out:
        out.print(
            f"[yellow]note[/]: {name} belongs to the previous endpoint and is left out. "
            "Set the variable and run install again if the new endpoint needs one.",
            soft_wrap=True,
        )
    for name in files.overruled:
        out.print(f"[yellow]note[/]: {name} would overrule your option and is left out.", soft_wrap=True)


def _show_difference(file: SettingsFile) -> None:
    before, after = (text.splitlines(keepends=True) for text in (file.before, file.after))
    for line in difflib.unified_diff(before, after, str(file.path), str(file.path)):
        typer.echo(line.rstrip("\r\n"))


def _uninstall(path: Path, *, purge: bool, dry_run: bool) -> None:
    file = _open(path)
    home = home_of(file.env, os.environ)
    check_owner(home)
    installed = InstalledChanges(home)
    changes = installed.of(path)
    removed = unregister(file.document)
    restored = changes.restore_env(file.document)
    changes.remove_empty(file.document)
    empty = file.exists and changes.made_file and file.document.value == {}
    if dry_run:
        _show_difference(file)
        also = f" and delete {home.root}" if purge else ""
        out.print(escape(f"Would remove {removed} hooks from {path}{also}"), soft_wrap=True)
        return
    if purge:
        _refuse_others(installed, path, home.root)
    backup = (file.delete() if empty else file.write()) if file.exists and (file.changed or empty) else None
    installed.forget(path)
    if removed or restored:
        out.print(f"Took {removed} hooks out of {escape(str(path))}.", soft_wrap=True)
    else:
        out.print(f"Nothing of ours was in {escape(str(path))}.", soft_wrap=True)
    if restored:
        out.print(f"Put back as they were: {', '.join(restored)}", soft_wrap=True)
    if backup:
        out.print(f"Backup: {escape(str(backup))}", soft_wrap=True)
    if not home.root.is_dir():
        return
    if purge:
        purge_home(home)
        forget_home(home, os.environ)
        out.print(f"Deleted {escape(str(home.root))}.", soft_wrap=True)
    else:
        installed.save()
        out.print(f"What was captured stays in {escape(str(home.root))} (--purge deletes it).", soft_wrap=True)


def _refuse_others(installed: InstalledChanges, path: Path, root: Path) -> None:
    """Refuse to purge a home that other settings files still use: without it, nothing restores them."""
    others = [other for other in installed.settings_files if other != Path(os.path.realpath(path)) and other.exists()]
    if others:
        listing = ", ".join(str(other) for other in others)
        raise PurgeError(
            f"{root} still serves {listing}. Run `claude-hooks-otel uninstall --settings FILE` for each first."
        )
