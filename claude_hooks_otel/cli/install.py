"""``install``: changes Claude Code's settings and the home's files, and leaves everything else as it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import JsonOption, note, print_json, say
from claude_hooks_otel.cli.options import DryRunOption, ScopeOption, SettingsOption, open_settings
from claude_hooks_otel.home.ownership import check_owner
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.advice import next_steps, warnings
from claude_hooks_otel.installation.backend_choice import KEY_SOURCES, Ask, BackendChoice, choose
from claude_hooks_otel.installation.changes import InstalledChanges
from claude_hooks_otel.installation.differences import differences
from claude_hooks_otel.installation.home_files import HomeFiles, home_of, is_usual, otel_variables
from claude_hooks_otel.installation.hook_entries import register as register_hooks
from claude_hooks_otel.installation.hook_entries import unregister
from claude_hooks_otel.installation.managed import is_managed
from claude_hooks_otel.installation.plugin_options import token_headers
from claude_hooks_otel.installation.purge import tell_to_stop
from claude_hooks_otel.installation.settings_file import Scope, SettingsError, path_of
from claude_hooks_otel.installation.status_line import Choice
from claude_hooks_otel.metrics.labels import normalize
from claude_hooks_otel.report.statusline.template import FormatError, parse_format
from claude_hooks_otel.settings import load
from claude_hooks_otel.settings.backends import RESOURCE_ATTRIBUTES
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.transcript_files import has_history


def _filled(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("The value is empty. Leave the option out.")
    return value


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
BackendOption = Annotated[
    str | None,
    typer.Option(callback=_filled, metavar="NAME", help="Fill in what this backend needs, such as grafana-cloud."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the backend, such as its region."),
]
KeyFromOption = Annotated[
    str | None, typer.Option(callback=_filled, metavar="SOURCE", help=f"Where the key is: {KEY_SOURCES}.")
]
EventsOption = Annotated[
    Registration | None,
    typer.Option(
        help="full: every event. light: none for tool calls, which then come from the transcript. The default is what the file has, "
        "else full."
    ),
]
StatusLineOption = Annotated[
    bool | None,
    typer.Option(
        "--statusline/--no-statusline", help="Show costs and limits in Claude Code's status line, or no more."
    ),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", callback=_filled, help="With --statusline: its fields (docs/statusline.md).")
]
AboveOption = Annotated[
    bool, typer.Option("--above", help="With --statusline: show our line above the one that is there, not below it.")
]
PluginOption = Annotated[bool, typer.Option("--plugin", help="The plugin registers the hooks. Set up everything else.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(epilog="Example: claude-hooks-otel install --agent backend --endpoint http://localhost:4318")
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
        backend: BackendOption = None,
        parameters: SetOption = None,
        key_from: KeyFromOption = None,
        plugin: PluginOption = False,
        events: EventsOption = None,
        statusline: StatusLineOption = None,
        text: FormatOption = None,
        above: AboveOption = False,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
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
        path = settings or path_of(scope, os.environ, Path.cwd())
        ask = _ask if _is_terminal() and not as_json else None
        installation = _Installation(
            path, given(labels), given(options), partial(_choice, backend, parameters or (), key_from, ask),
            shared=shared, plugin=plugin, events=events, is_named=settings is not None,
            status_line=_status_line(statusline, text, above=above, shared=shared), is_managed=is_managed(),
        )  # fmt: skip
        done = installation.run(dry_run=dry_run)
        if as_json:
            print_json("install", **asdict(done))
        else:
            _print(done)


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _ask(question: str, is_secret: bool) -> str:
    return str(typer.prompt(question, hide_input=is_secret))


def _choice(
    backend: str | None, parameters: Iterable[str], key_from: str | None, ask: Ask | None, home: Home
) -> BackendChoice:
    """Return what the backend and the source of its key need in a home."""
    given = otel_variables(os.environ)
    if RESOURCE_ATTRIBUTES not in given and (present := load(home.config, {}).otel.get(RESOURCE_ATTRIBUTES)):
        given[RESOURCE_ATTRIBUTES] = present
    return choose(backend, parameters, key_from, given, os.environ, ask)


def _status_line(wanted: bool | None, text: str | None, *, above: bool, shared: bool) -> Choice | None:
    """Return what the options say about the status line; None if they say nothing.

    Raises:
        SettingsError: everybody who works on the project would get it.
    """
    if wanted is None and (text or above):
        raise typer.BadParameter("--format and --above need --statusline.")
    if wanted is None:
        return None
    if wanted and shared:
        raise SettingsError(
            "A project's status line replaces everybody's own, also where this package is missing. Use --scope user or --scope local."
        )
    try:
        parse_format(text or "")
    except FormatError as error:
        raise typer.BadParameter(f"--format: {error}.") from None
    return Choice(wanted, text or "", above)


def given(values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the values that were given."""
    return {name: value for name, value in values.items() if value is not None}


@dataclass(slots=True)
class _Done:
    """What one run of ``install`` did, or would do.

    Attributes:
        dry_run: whether nothing was written.
        files: the files that were written.
        changes: what changes in the settings file, a line each.
        backup: the copy of the settings file as it was before.
        taken_over: the names of the variables that came from the environment.
        told_daemon: whether a running daemon was told to stop.
        notes: what a person should know.
        next_steps: what to do next.
    """

    dry_run: bool
    files: list[str]
    changes: list[str]
    taken_over: list[str]
    backup: str | None = None
    told_daemon: bool = False
    notes: list[str] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)


class _Installation:
    """One run of ``install``: prepares every change first, then writes them or shows them.

    Args:
        path: the settings file.
        labels: the variables that the options set for its sessions.
        options: the ``OTEL_*`` variables that the options set for the daemon.
        choice: a home → what a backend and the source of its key need there.
        shared: whether other people use the settings file, too.
        plugin: whether the plugin registers the hooks.
        events: which events to register; None to keep what the file has.
        is_named: whether an option names the file, and not a scope.
        status_line: what is to become of the status line; None if it stays as it is.
        is_managed: whether the organization's settings register the hooks.
    """

    def __init__(
        self,
        path: Path,
        labels: dict[str, str],
        options: dict[str, str],
        choice: Callable[[Home], BackendChoice],
        *,
        shared: bool,
        plugin: bool,
        events: Registration | None = None,
        is_named: bool = False,
        status_line: Choice | None = None,
        is_managed: bool = False,
    ) -> None:
        if plugin and events is Registration.LIGHT:
            note = "The plugin registers every event. Disable it, and leave --plugin out."
            raise typer.BadParameter(note, param_hint="--events")
        self._file = open_settings(path)
        self._before = json.loads(json.dumps(self._file.document.value))
        self._home = home_of(self._file.env, os.environ)
        check_owner(self._home)
        token = token_headers(self._home, otel_variables(os.environ)) if plugin else {}
        chosen = choice(self._home)
        options = {**({} if chosen.tables else token), **chosen.options, **options}
        self._status_line = status_line
        with_status_line = status_line is not None and status_line.wanted
        self._files = HomeFiles(
            self._home, options, os.environ,
            with_emit=not plugin, with_status_line=with_status_line, tables=chosen.tables,
        )  # fmt: skip
        self._installed = InstalledChanges(self._home)
        self._labels = labels
        self._shared = shared
        self._plugin = plugin
        self._is_managed = is_managed
        self._events = events
        self._is_new_place = is_named and not path.absolute().parent.exists()
        self._usual = is_usual(self._home, os.environ)
        self._pinned = {} if self._usual or shared else {HOME_VARIABLE: str(self._home.root)}
        self._change_document()

    def run(self, *, dry_run: bool) -> _Done:
        """Write everything, or nothing, and return what was or would be done."""
        files = [*([self._file.path] if self._file.changed else []), *self._files.changed]
        done = _Done(
            dry_run=dry_run,
            files=[str(path) for path in files],
            changes=list(differences(self._before, self._file.document.value)),
            taken_over=self._files.taken_over if self._files.config_changed else [],
            notes=list(self._notes()),
        )
        if not dry_run:
            self._write(done)
            steps = next_steps(
                self._files.config, self._home.console, plugin=self._plugin, has_history=has_history(os.environ)
            )
            done.next_steps = list(steps)
        return done

    def _change_document(self) -> None:
        document = self._file.document
        changes = self._installed.of(self._file.path)
        changes.made_file = changes.made_file or not self._file.exists
        if self._plugin or self._is_managed:
            unregister(document)
        else:
            changes.made += [made for made in register_hooks(document, self._events) if made not in changes.made]
        changes.remove_empty(document)
        changes.set_env(document, self._labels | self._pinned)
        if self._status_line is not None:
            changes.set_status_line(document, self._status_line)

    def _write(self, done: _Done) -> None:
        """Write the home, then the settings file. If the settings file cannot be written, nothing is."""
        if self._file.changed:
            self._file.check_writable()
        done.told_daemon = self._files.write() and tell_to_stop(self._home)
        self._installed.save()
        if self._file.changed and (backup := self._file.write()):
            done.backup = str(backup)
            self._installed.of(self._file.path).backups.append(str(backup.absolute()))
            self._installed.save()

    def _notes(self) -> Iterator[str]:
        yield from _label_notes(self._labels)
        yield from self._files.notes
        for name in self._files.left_out:
            yield (
                f"{name} belongs to the previous endpoint and is left out. "
                "Set the variable and run install again if the new endpoint needs one."
            )
        for name in self._files.overruled:
            yield f"{name} would overrule your option and is left out."
        yield from warnings(self._file.document.value, plugin=self._plugin, is_managed=self._is_managed)
        if self._is_new_place:
            yield (
                f"{self._file.path.parent} is a new folder. Claude Code reads this file only where you name it: "
                f"`claude --settings {self._file.path}`, or CLAUDE_CONFIG_DIR."
            )
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


def _print(done: _Done) -> None:
    """Print what was or would be done. Values of variables may be secret, so only their names are shown."""
    if not done.files:
        say("Everything is in place already.")
    for path in done.files:
        say(f"{'Would write' if done.dry_run else 'Wrote'} {path}")
    for line in done.changes if done.dry_run else ():
        say(line)
    if done.taken_over:
        say(f"Taken over from your environment, which the daemon never sees: {', '.join(done.taken_over)}")
    if done.told_daemon:
        say("Told the running daemon to stop. The next session starts it with the new configuration.")
    if done.backup:
        say(f"Backup: {done.backup}")
    for text in done.notes:
        note(text)
    for step in done.next_steps:
        say(step)
