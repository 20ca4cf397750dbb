"""``export``: hands history over with its own time, to Prometheus as blocks and to custom exporters as measurements."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claude_hooks_otel.cli.console import JsonOption, command_home, complain, err, fail, print_json, say
from claude_hooks_otel.cli.interrupts import INTERRUPTED
from claude_hooks_otel.cli.questions import SinceOption, UntilOption, asked_range, opened_store
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.ranges import EVERYTHING, Range
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings, load
from claude_hooks_otel.store.connection import read_meta
from claude_hooks_otel.store.damage import explain

if TYPE_CHECKING:
    from claude_hooks_otel.export.openmetrics import Target, Written

export_app = typer.Typer(help="Hand imported history over, with its own time.", no_args_is_help=True)

_NOTHING = "There is no imported history{}. Read it with `claude-hooks-otel import`. What hooks capture is exported as it happens."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(export_app, name="export")


@export_app.command(epilog="Example: claude-hooks-otel export openmetrics history.txt --since 2026-01-01")
def openmetrics(
    file: Annotated[str, typer.Argument(help="The file to write; - for standard output.", metavar="FILE")],
    since: SinceOption = None,
    until: UntilOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Also what was exported as it happened. Only for a new Prometheus.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write imported history as OpenMetrics text, for `promtool tsdb create-blocks-from openmetrics`.

    Its series have an instance of their own, so no live counter jumps, and sums contain both. Histories of different ranges have different
    instances. Gauges are left out: the store does not keep their past.
    """
    if everything and (since or until):
        fail("--everything ends at the totals that are exported now. Leave --since and --until out.", code=2)
    home, within = command_home(), asked_range(since=since, until=until)
    config = _config(home)
    if not home.store.exists():
        fail(_NOTHING.format(""))
    with _output(file) as write:
        target, written = _write(home, config, within, write, everything=everything)
        if not written.series:
            fail(_NOTHING.format(" in this range" if since or until else ""))
    if as_json and file != "-":
        _print_written(file, target, written)
    else:
        _say_written(file, target, written)


def _config(home: Home) -> Config:
    try:
        return load(home.config, {})
    except ConfigError as error:
        fail(str(error))


def _write(
    home: Home, config: Config, within: Range, write: Callable[[str], object], *, everything: bool
) -> tuple[Target, Written]:
    # Only this command pays for the imports.
    from claude_hooks_otel.export.openmetrics import Target, write_openmetrics  # noqa: PLC0415
    from claude_hooks_otel.export.resource import service_resource  # noqa: PLC0415
    from claude_hooks_otel.series.timelines import read_everything, read_history  # noqa: PLC0415

    try:
        with opened_store(home) as connection:
            connection.execute("BEGIN")  # totals and their past have to be of the same moment
            instance = read_meta(connection, "instance_id")
            target = Target.of(service_resource(OtelSettings.from_config(config, {}), instance), _suffix(within))
            limit = config.series.limit
            if everything:
                timelines = read_everything(connection, limit)
            else:
                timelines = read_history(connection, limit, since_ns=within.since_ns, until_ns=within.until_ns)
            return target, write_openmetrics(timelines, target, time.time_ns(), write)
    except sqlite3.Error as error:
        fail(explain(home.store, error))


def _suffix(within: Range) -> str:
    """Return what tells the history of a range from that of another one; empty for all of it."""
    edges = (("from", within.since_ns, EVERYTHING.since_ns), ("until", within.until_ns, EVERYTHING.until_ns))
    return "".join(f"-{word}-{_moment(at_ns):%Y%m%dT%H%MZ}" for word, at_ns, default in edges if at_ns != default)


def _moment(at_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)


@contextmanager
def _output(file: str) -> Iterator[Callable[[str], object]]:
    """Open the file or standard output. A file is complete, or it does not change."""
    if file == "-":
        binary = typer.get_binary_stream("stdout")
        yield lambda text: binary.write(text.encode())  # labels stay as they are, whatever the terminal's signs are
        return
    path = Path(file)
    draft = path.with_name(f".{path.name}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as output:
            yield output.write
        draft.replace(path)
    except OSError as error:
        fail(f"{file} cannot be written: {error}")
    finally:
        draft.unlink(missing_ok=True)


def _print_written(file: str, target: Target, written: Written) -> None:
    print_json(
        "export",
        file=file,
        bytes=Path(file).stat().st_size,
        series=written.series,
        samples=written.samples,
        first_ns=written.first_ns,
        too_new=written.too_new,
        instance=f"{target.instance}-history{target.suffix}",
        job=target.job,
    )


def _say_written(file: str, target: Target, written: Written) -> None:
    """Say what was written and how it gets into Prometheus; on standard error if standard output has the text."""
    tell: Callable[[str], None] = say if file != "-" else lambda text: err.print(text, markup=False, soft_wrap=True)
    size = "" if file == "-" else f" ({Path(file).stat().st_size / 1e6:,.1f} MB)"
    tell(
        f"Wrote {written.series:,} series since {_moment(written.first_ns):%Y-%m-%d} with {written.samples:,} samples{size}. "
        f'Imported history has the instance "{target.instance}-history{target.suffix}".'
    )
    if written.too_new:
        tell("The last three hours are left out, because Prometheus may not have them written to disk yet.")
    tell("Load the file within three days, once, into the folder of Prometheus's data:")
    named = file if file != "-" else "FILE"
    tell(f"  promtool tsdb create-blocks-from openmetrics --max-block-duration=480h {named} DATA")


@export_app.command(epilog="Example: claude-hooks-otel export measurements postgresql")
def measurements(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Custom exporters of the configuration. Default: all.", metavar="[EXPORTER]..."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send everything again, under the same keys: for a new database or file.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send imported history to custom exporters: what they do not have yet, as measurements with their own time.

    It can be stopped with Ctrl-C and goes on where it stopped.
    """
    home = command_home()
    config = _config(home)
    if unknown := sorted(set(names or ()) - config.exporters.keys()):
        fail(f"There is no [exporters.{unknown[0]}] in {home.config}.")
    if not config.exporters:
        fail(f"There is no custom exporter in {home.config}. Add one, for example [exporters.postgresql].")
    if not home.store.exists():
        fail(_NOTHING.format(""))
    results = [_send(home, name, config.exporters[name], again=again) for name in names or config.exporters]
    problems = [result["error"] for result in results if result["error"]]
    if as_json:
        print_json("export", ok=not problems, error="\n".join(problems) or None, exporters=results)
    else:
        for result in results:
            if not result["error"]:
                say(f"{result['name']}: {_sentence(result)}")
        for problem in problems:
            complain(problem)
    if problems:
        raise typer.Exit(1)


def _sentence(result: dict[str, Any]) -> str:
    if result["sent"] is None:
        return "shows current totals, which history does not change."
    return f"accepted {result['sent']:,} measurements." if result["sent"] else "has all of history already."


def _send(home: Home, name: str, options: dict[str, Any], *, again: bool) -> dict[str, Any]:
    """Send to one exporter. Return its name, how many measurements it has accepted (None if it takes none), and what went wrong."""
    # Only this command pays for the imports.
    from claude_hooks_otel.daemon.assembly import open_store  # noqa: PLC0415
    from claude_hooks_otel.delivery.history import send_history  # noqa: PLC0415
    from claude_hooks_otel.delivery.measurements import ReadsSeries  # noqa: PLC0415
    from claude_hooks_otel.export.custom.registry import OptionRedactor, build  # noqa: PLC0415

    sent, error = 0, None
    try:
        exporter = build(name, options)
        if isinstance(exporter, ReadsSeries):
            return {"name": name, "sent": None, "error": None}
        with closing(open_store(home.store, time.time_ns)) as store, ExitStack() as stack:
            exporter.start()
            stack.callback(exporter.shutdown)
            for accepted in send_history(store.connection, name, exporter, again=again):
                sent += accepted
    except ConfigError as problem:
        error = str(problem)
    except sqlite3.Error as problem:
        fail(explain(home.store, problem))
    except KeyboardInterrupt:
        err.print("Stopped. Run the command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as problem:  # foreign code
        reason = OptionRedactor(options)(f"{type(problem).__name__}: {problem}").rstrip(".")
        error = f"{name}: {reason}. Run the command again to go on."
    return {"name": name, "sent": sent, "error": error}
