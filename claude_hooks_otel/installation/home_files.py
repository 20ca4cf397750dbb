"""The home's own files: the copy of ``emit``, the interpreter, and the configuration with the variables that hooks never see."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import claude_hooks_otel
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.settings_file import replace_file
from claude_hooks_otel.settings import Config, ConfigError, OtelSettings, Signal, load, save

# The variables that say where telemetry goes and whose it is. Claude Code's own switches (OTEL_LOG_USER_PROMPTS and others)
# are none of ours.
_TAKEN_OVER = (
    "OTEL_EXPORTER_",
    "OTEL_METRIC_EXPORT_",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_BLRP_",
    "OTEL_BSP_",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_SDK_DISABLED",
)
# The variables of one signal win over the general ones, so they have to go where an option sets the general one.
_OVERRULED_BY = {
    f"OTEL_EXPORTER_OTLP_{name}": tuple(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}" for signal in Signal)
    for name in ("ENDPOINT", "PROTOCOL")
}


def emit_path() -> Path:
    """The ``hooks/emit`` that belongs to this package: inside it where a wheel was installed, next to it in a checkout.

    Settings files do not name this one but its copy in the home (``Home.emit``). A path into a Python environment breaks when
    that is removed, upgraded to another Python version, or was a passing one (``uvx``); no session would fail, but none would be
    captured either. The copy captures on, and its events wait for the next installation.

    Raises:
        FileNotFoundError: the package is not complete.
    """
    package = Path(claude_hooks_otel.__file__).parent
    for candidate in (package / "_hooks" / "emit", package.parent / "hooks" / "emit"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"hooks/emit is missing from the installation in {package}: install the package again")


def home_of(settings_env: Mapping[str, str], environ: Mapping[str, str]) -> Home:
    """The home of the sessions that a settings file concerns: the variable of this process, else the file's, else the usual one.

    Raises:
        RuntimeError: no variable names a folder.
    """
    if not environ.get(HOME_VARIABLE) and (named := settings_env.get(HOME_VARIABLE)):
        return Home(Path(named))
    return Home(Home.from_environment(environ).root.absolute())


def is_usual(home: Home, environ: Mapping[str, str]) -> bool:
    """Whether hooks find this home without being told: whatever starts a session, HOME is set there."""
    return bool(environ.get("HOME")) and home == Home.from_environment({"HOME": environ["HOME"]})


def otel_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The standard variables of this process that hooks will not see and the daemon needs."""
    return {name: value for name, value in environ.items() if name.startswith(_TAKEN_OVER) and value.strip()}


class HomeFiles:
    """What has to be written into a home, compared with what is there.

    Args:
        home: where.
        options: ``OTEL_*`` variables given as options; they win over the environment's.
        environ: the environment of ``install``.

    Attributes:
        taken_over: the names of the variables that come from the environment.
        overruled: the names of variables that an option puts out of effect.

    Raises:
        ConfigError: the configuration, present or to be, cannot be used.
        FileNotFoundError: the package is not complete.
    """

    def __init__(self, home: Home, options: Mapping[str, str], environ: Mapping[str, str], *, with_emit: bool) -> None:
        self.home = home
        self._present = load(home.config, {})
        found = otel_variables(environ)
        self.overruled = sorted(
            specific
            for general, specifics in _OVERRULED_BY.items()
            for specific in specifics
            if general in options and (specific in found or specific in self._present.otel)
        )
        self.taken_over = sorted(found.keys() - options.keys() - set(self.overruled))
        changes: dict[str, str | None] = {name: found[name] for name in self.taken_over}
        self.config = self._present.with_changes({"otel": changes | dict.fromkeys(self.overruled) | dict(options)})
        _check(self.config)
        self._files = {home.interpreter: f"{_interpreter()}\n".encode()}
        if with_emit:
            self._files[home.emit] = emit_path().read_bytes()

    @property
    def config_changed(self) -> bool:
        """Whether the configuration file will be another one."""
        return self.config.model_dump(exclude_unset=True) != self._present.model_dump(exclude_unset=True)

    @property
    def changed(self) -> list[Path]:
        """The files that will be written."""
        config = [self.home.config] if self.config_changed else []
        return config + [path for path, content in self._files.items() if _content(path) != content]

    def write(self) -> bool:
        """Makes the home and writes what differs; whether anything did.

        Raises:
            OSError: the folder cannot be written.
        """
        changed = self.changed
        self.home.create()
        if self.config_changed:
            save(self.home.config, self.config)
        for path in changed:
            if path in self._files:
                replace_file(path, self._files[path])
        return bool(changed)


def _check(config: Config) -> None:
    """Makes sure that the exporters can be built from what will be in the file."""
    # OpenTelemetry, for this moment alone.
    from claude_hooks_otel.export.exporters import build_item_exporters, build_metric_exporters  # noqa: PLC0415

    otel = OtelSettings.from_config(config, {})
    for exporter in build_metric_exporters(otel):
        exporter.shutdown()
    for signal in (Signal.TRACES, Signal.LOGS):
        for item_exporter in build_item_exporters(otel, signal):
            item_exporter.shutdown()


def _interpreter() -> str:
    """This Python as it was called: resolving the link of a virtual environment would leave the environment."""
    if not sys.executable:
        raise ConfigError(
            "this Python does not know its own path, so no hook could find it: run install with another one"
        )
    return sys.executable


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
