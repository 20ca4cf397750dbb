"""``stack``: the monitoring servers that come with the package, in Docker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from claude_hooks_otel.cli.console import command_home, fail, out
from claude_hooks_otel.installation import stack_files

FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="The folder with the stack's files. The default is in the home."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    stack = typer.Typer(
        no_args_is_help=True,
        help="Run the Collector, the stores and the Grafana that come with the package, or write their files.",
    )
    app.add_typer(stack, name="stack")
    _register_docker(stack)
    _register_files(stack)


def _register_docker(stack: typer.Typer) -> None:
    @stack.command()
    def up(folder: FolderOption = None) -> None:
        """Write the stack's files and start it with Docker Compose. Everything listens on loopback only."""
        root = _folder(folder)
        compose = _compose()
        _write(root)
        _run(compose, root, "up", "-d")
        out.print(
            escape(
                f"Grafana is at http://localhost:3000: user admin, password {stack_files.PASSWORD} in {root / stack_files.VARIABLES}.\n"
                "Prometheus is at http://localhost:9090, Jaeger at http://localhost:16686, "
                "VictoriaLogs at http://localhost:9428/select/vmui.\n"
                "To send there, run `claude-hooks-otel install --endpoint http://localhost:4318`.\n"
                "To check the way, run `claude-hooks-otel doctor --prometheus http://localhost:9090`."
            ),
            soft_wrap=True,
        )

    @stack.command()
    def down(folder: FolderOption = None) -> None:
        """Stop the stack. Its data stays in Docker's volumes."""
        root = _present(folder)
        _run(_compose(), root, "down")
        out.print("The stack is down. Its data stays in Docker's volumes.")

    @stack.command()
    def status(folder: FolderOption = None) -> None:
        """Show the stack's containers."""
        _run(_compose(), _present(folder), "ps")


def _register_files(stack: typer.Typer) -> None:
    @stack.command()
    def export(
        folder: Annotated[
            Path, typer.Argument(metavar="DIR", help="Where to. Files that you have to edit are not replaced.")
        ],
    ) -> None:
        """Write the stack's files: Compose, Collector, Prometheus, alerts, dashboards, runbook."""
        _write(folder.absolute())

    @stack.command("import")
    def import_(
        url: Annotated[str, typer.Option(help="The address of Grafana.")] = "http://localhost:3000",
        prometheus: Annotated[
            str | None, typer.Option(metavar="URL", help="The address of Prometheus, to make a missing data source.")
        ] = None,
        datasource: Annotated[
            str | None, typer.Option(metavar="NAME", help="The Prometheus data source that the dashboards show.")
        ] = None,
        backup: Annotated[
            Path | None, typer.Option(metavar="DIR", help="Save the replaced dashboards in this folder.")
        ] = None,
    ) -> None:
        """Import the dashboards into your own Grafana. GRAFANA_TOKEN holds the token of a service account.

        The account needs the role Editor, or Admin to make the data source.
        """
        from claude_hooks_otel.installation import grafana  # noqa: PLC0415 — only this command pays for requests

        token = os.environ.get("GRAFANA_TOKEN", "").strip()
        if not token:
            fail("Set GRAFANA_TOKEN to the token of a service account (Grafana: Administration, Service accounts).")
        try:
            for line in grafana.import_dashboards(
                grafana.Grafana(url, token), stack_files.dashboards(), prometheus, backup, datasource
            ):
                out.print(escape(line), soft_wrap=True)
        except (grafana.GrafanaError, OSError) as error:
            fail(str(error))


def _folder(folder: Path | None) -> Path:
    return folder.absolute() if folder else command_home().root.absolute() / "stack"


def _present(folder: Path | None) -> Path:
    root = _folder(folder)
    if not (root / stack_files.COMPOSE_FILE).is_file():
        fail(f"There is no stack in {root}. Run `claude-hooks-otel stack up`.")
    return root


def _write(root: Path) -> None:
    try:
        changed = stack_files.write(root)
    except OSError as error:
        fail(f"{error.filename or root}: {error.strerror or error}. Name another folder.")
    wrote = f"Wrote {len(changed)} {'file' if len(changed) == 1 else 'files'} to {root}."
    out.print(escape(wrote if changed else f"{root} is up to date."), soft_wrap=True)


def _compose() -> list[str]:
    """Return the command for Docker Compose: the plugin of ``docker``, or else the older ``docker-compose``."""
    if docker := shutil.which("docker"):
        found = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if not found.returncode:
            return [docker, "compose"]
    compose = shutil.which("docker-compose")
    if compose is None:
        fail(
            "Docker Compose is not installed. Install it, or run `claude-hooks-otel stack export DIR` and start the files elsewhere."
        )
    return [compose]


def _run(compose: list[str], root: Path, *arguments: str) -> None:
    """Run Compose, whose output the user sees. End the program if it fails."""
    command = [*compose, "--project-directory", str(root), "-f", str(root / stack_files.COMPOSE_FILE), *arguments]
    if code := subprocess.run(command, check=False).returncode:
        fail(f"`{shlex.join(command)}` ended with {code}.")
