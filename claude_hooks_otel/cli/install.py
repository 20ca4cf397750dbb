"""``install`` and ``uninstall``: Claude Code's settings and the home's files, changed so that nothing else is."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import fail, out
from claude_hooks_otel.home.paths import HOME_VARIABLE
from claude_hooks_otel.installation.advice import next_steps, warnings
from claude_hooks_otel.installation.home_files import HomeFiles, home_of, is_usual
from claude_hooks_otel.installation.hook_entries import check_shape, unregister
from claude_hooks_otel.installation.hook_entries import register as register_hooks
from claude_hooks_otel.installation.purge import PurgeError, tell_to_leave
from claude_hooks_otel.installation.purge import purge as purge_home
from claude_hooks_otel.installation.record import Record
from claude_hooks_otel.installation.settings_file import Scope, SettingsError, SettingsFile, path_of
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.settings import ConfigError


def _filled(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("an empty value says nothing; leave the option out")
    return value


ScopeOption = Annotated[
    Scope,
    typer.Option(help="user: all your sessions; project: everybody's in this folder; local: yours in this folder."),
]
SettingsOption = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="This settings file instead of a scope's.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]


AgentOption = Annotated[
    str | None,
    typer.Option(
        callback=_filled, help="The agent label of these sessions (CLAUDE_AGENT_ID); it wins over the shell's."
    ),
]
ProjectOption = Annotated[
    str | None, typer.Option(callback=_filled, help="The project label; by default the repository's name.")
]
TeamOption = Annotated[str | None, typer.Option(callback=_filled, help="The team label.")]
SprintOption = Annotated[str | None, typer.Option(callback=_filled, help="The sprint label.")]
EndpointOption = Annotated[
    str | None, typer.Option(callback=_filled, metavar="URL", help="The OTLP endpoint to export to.")
]
ProtocolOption = Annotated[
    str | None, typer.Option(callback=_filled, help="grpc or http/protobuf; by default what the port stands for.")
]
ExporterOption = Annotated[
    str | None, typer.Option(callback=_filled, help="OTEL_METRICS_EXPORTER: otlp, console, none.")
]
PluginOption = Annotated[bool, typer.Option("--plugin", help="The plugin registers the hooks: set up everything else.")]
PurgeOption = Annotated[bool, typer.Option("--purge", help="Delete everything that was captured and configured, too.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(install)
    app.command()(uninstall)


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
    try:
        path = settings or path_of(scope, os.environ, Path.cwd())
        _install(path, _given(labels), _given(options), shared=shared, plugin=plugin, dry_run=dry_run)
    except (SettingsError, ConfigError, RuntimeError, FileNotFoundError) as error:
        fail(escape(str(error)))
    except OSError as error:
        fail(
            escape(f"{error.filename}: {error.strerror}. Make it writable, or name another folder in {HOME_VARIABLE}.")
        )


def uninstall(
    scope: ScopeOption = Scope.USER,
    settings: SettingsOption = None,
    purge: PurgeOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Take the hooks out of Claude Code's settings; what was captured stays, unless --purge is given."""
    try:
        _uninstall(settings or path_of(scope, os.environ, Path.cwd()), purge=purge, dry_run=dry_run)
    except (SettingsError, PurgeError, RuntimeError) as error:
        fail(escape(str(error)))


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _open(path: Path) -> SettingsFile:
    file = SettingsFile(path)
    try:
        check_shape(file.document)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return file


def _install(
    path: Path, labels: dict[str, str], options: dict[str, str], *, shared: bool, plugin: bool, dry_run: bool
) -> None:
    file = _open(path)
    home = home_of(file.env, os.environ)
    files = HomeFiles(home, options, os.environ, with_emit=not plugin)
    record = Record(home)
    changes = record.of(path)
    changes.made_file = changes.made_file or not file.exists
    usual = is_usual(home, os.environ)
    pinned = {} if usual or shared else {HOME_VARIABLE: str(home.root)}
    if plugin:
        unregister(file.document)
        changes.remove_empty(file.document)
    else:
        changes.made += [made for made in register_hooks(file.document) if made not in changes.made]
    changes.set_env(file.document, labels | pinned)
    if dry_run:
        _show_difference(file)
    _tell(file, files, dry_run=dry_run)
    if not dry_run:
        if files.write() and tell_to_leave(home):
            out.print("Told the running daemon to leave: the next session starts it with the new configuration.")
        record.save()
        if file.changed and (backup := file.write()):
            out.print(f"Backup: {escape(str(backup))}", soft_wrap=True)
    notes = [*_label_notes(labels), *warnings(file.document.value, plugin=plugin)]
    if shared and not usual:
        notes.append(
            f"these settings are shared, so they do not name your home {home.root}: {HOME_VARIABLE} has to be set wherever "
            "Claude Code is started, or use --scope local."
        )
    if pinned:
        notes.append(f"events go to {home.root}: keep {HOME_VARIABLE} set in your shell for the other commands.")
    for note in notes:
        out.print(f"[yellow]note[/]: {escape(note)}", soft_wrap=True)
    for step in () if dry_run else next_steps(files.config, plugin=plugin):
        out.print(escape(step), soft_wrap=True)


def _label_notes(labels: Mapping[str, str]) -> Iterator[str]:
    """Which names are spelled otherwise in the metrics."""
    for name, value in labels.items():
        if (label := normalize(value)) != value:
            yield f"{name} {value!r} counts under the label {label!r}."


def _tell(file: SettingsFile, files: HomeFiles, *, dry_run: bool) -> None:
    """Says what is (or would be) written. Values of variables may be secret: only their names are shown."""
    written = [*([file.path] if file.changed else []), *files.changed]
    if not written:
        out.print("Everything is in place already.")
    for path in written:
        out.print(f"{'Would write' if dry_run else 'Wrote'} {escape(str(path))}", soft_wrap=True)
    if files.taken_over and files.config_changed:
        out.print(
            f"Taken over from your environment, which hooks never see: {', '.join(files.taken_over)}", soft_wrap=True
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
    record = Record(home)
    changes = record.of(path)
    removed = unregister(file.document)
    restored = changes.restore_env(file.document)
    changes.remove_empty(file.document)
    empty = file.exists and changes.made_file and file.document.value == {}
    if dry_run:
        _show_difference(file)
        out.print(
            f"Would remove {removed} hooks from {escape(str(path))}"
            + (f" and delete {escape(str(home.root))}" if purge else ""),
            soft_wrap=True,
        )
        return
    if purge:
        _refuse_others(record, path, home.root)
    backup = (file.delete() if empty else file.write()) if file.exists and (file.changed or empty) else None
    record.forget(path)
    if removed or restored:
        out.print(f"Took {removed} hooks out of {escape(str(path))}.", soft_wrap=True)
    else:
        out.print(f"Nothing of ours was in {escape(str(path))}.", soft_wrap=True)
    if restored:
        out.print(f"Put back as they were: {', '.join(restored)}", soft_wrap=True)
    if backup:
        out.print(f"Backup: {escape(str(backup))}", soft_wrap=True)
    if purge:
        purge_home(home)
        out.print(f"Deleted {escape(str(home.root))}.", soft_wrap=True)
    elif home.root.is_dir():
        record.save()
        out.print(f"What was captured stays in {escape(str(home.root))} (--purge deletes it).", soft_wrap=True)


def _refuse_others(record: Record, path: Path, root: Any) -> None:
    """A purge takes the memory of other settings files away: they come first."""
    others = [other for other in record.settings_files if other != Path(os.path.realpath(path)) and other.exists()]
    if others:
        listing = ", ".join(str(other) for other in others)
        raise PurgeError(
            f"{root} still serves {listing}: run `claude-hooks-otel uninstall --settings FILE` for each first"
        )
