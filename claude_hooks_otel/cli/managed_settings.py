"""``managed-settings``: writes what an organization puts into the managed settings of Claude Code on all its machines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from claude_hooks_otel.cli.console import fail, note, say
from claude_hooks_otel.cli.install import (
    AgentOption,
    EndpointOption,
    EventsOption,
    ExporterOption,
    ProjectOption,
    ProtocolOption,
    SprintOption,
    TeamOption,
    given,
)
from claude_hooks_otel.installation.home_files import checked
from claude_hooks_otel.installation.managed import USUAL_PREFIX, Form, Managed
from claude_hooks_otel.report.statusline.template import FormatError, parse_format
from claude_hooks_otel.settings import replace_file
from claude_hooks_otel.sources.registration import Registration

FileArgument = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The file. Without one, print it.")]
FormOption = Annotated[Form, typer.Option("--form", help="json: a file. plist: a profile of a device management.")]
PrefixOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DIR",
        help=f"Where the package is on the machines, several times; the first that has it wins. The default is {USUAL_PREFIX}.",
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A further OTEL_ variable for every daemon.")
]
StatusLineOption = Annotated[bool, typer.Option("--statusline", help="Show costs and limits in the status line.")]
FormatOption = Annotated[str, typer.Option("--format", help="With --statusline: its fields (docs/statusline.md).")]
MarketplaceOption = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE", help="Enable the plugin from this marketplace instead: OWNER/NAME, a URL or a folder."
    ),
]
_SECRETS = ("HEADERS", "TOKEN", "PASSWORD")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        "managed-settings",
        epilog="Example: claude-hooks-otel managed-settings --team shop --endpoint http://localhost:4318 50-claude-hooks-otel.json",
    )
    def managed_settings(
        file: FileArgument = None,
        form: FormOption = Form.JSON,
        prefix: PrefixOption = None,
        agent: AgentOption = None,
        project: ProjectOption = None,
        team: TeamOption = None,
        sprint: SprintOption = None,
        endpoint: EndpointOption = None,
        protocol: ProtocolOption = None,
        exporter: ExporterOption = None,
        variables: SetOption = None,
        events: EventsOption = None,
        statusline: StatusLineOption = False,
        text: FormatOption = "",
        marketplace: MarketplaceOption = None,
    ) -> None:
        """Write the managed settings with which an organization captures the sessions of all its machines (docs/rollout.md).

        No user can switch them off, and no user has to run `install`.
        """
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
        notes: list[str] = []
        managed = Managed(
            _prefixes(prefix or [USUAL_PREFIX]), given(labels), checked({**_variables(variables or []), **given(options)}, notes),
            events or Registration.FULL, _format(text, is_wanted=statusline), marketplace,
        )  # fmt: skip
        if marketplace is not None and (events or prefix):
            fail("The plugin brings its hooks. Leave --events and --prefix out, or --marketplace.")
        _write(managed.text(form), file)
        for each in notes:
            note(each)


def _write(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
        return
    replace_file(file, text.encode())
    file.chmod(0o644)  # every user's client and daemon read it
    say(f"Wrote {file}")


def _prefixes(given_prefixes: list[str]) -> list[str]:
    for prefix in given_prefixes:
        if not prefix.startswith("/") or any(sign in prefix for sign in "\n\r\0"):
            fail(f"--prefix {prefix}: an absolute path is expected.")
    return [prefix.rstrip("/") or "/" for prefix in given_prefixes]


def _variables(texts: list[str]) -> dict[str, str]:
    """Return the variables. Everybody on a machine can read managed settings, so a secret is refused."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not value or not name.startswith("OTEL_"):
            fail(f"--set {name}: OTEL_NAME=VALUE is expected.")
        if name.endswith(_SECRETS):
            fail(
                f"--set {name}: everybody on a machine can read managed settings, and every tool of a session gets them. "
                "Let the machines send to a Collector of their own that has the token (docs/rollout.md)."
            )
        found[name] = value
    return found


def _format(text: str, *, is_wanted: bool) -> str | None:
    if not is_wanted:
        if text:
            fail("--format needs --statusline.")
        return None
    try:
        parse_format(text)
    except FormatError as error:
        fail(f"--format: {error}.")
    return text
