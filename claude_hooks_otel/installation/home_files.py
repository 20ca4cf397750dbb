"""The home's own files: the copy of ``emit``, the path of Python, and the configuration, with the variables that hooks never see."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import claude_hooks_otel
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation import status_line
from claude_hooks_otel.installation.backend_choice import NO_CREDENTIALS
from claude_hooks_otel.installation.client_variables import adapted, proxy_notes, with_scheme
from claude_hooks_otel.settings import (
    Config,
    ConfigError,
    OtelSettings,
    Signal,
    load,
    moved_signals,
    overlay,
    replace_file,
    save,
    variables_of,
)

# The variables that say where telemetry goes and whose it is. Claude Code's own switches (OTEL_LOG_USER_PROMPTS and others)
# do not concern us.
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
# The variables of a process that change how it reaches an endpoint. A daemon that a hook starts has them only from the file.
_NETWORK = frozenset(
    f"{name}{ending}"
    for names, endings in (
        (("HTTP", "HTTPS", "ALL", "NO"), ("_PROXY",)),
        (("SSL_CERT",), ("_FILE", "_DIR")),
        (("REQUESTS_CA", "CURL_CA"), ("_BUNDLE",)),
        (("GRPC_DEFAULT_SSL_ROOTS_FILE",), ("_PATH",)),
    )
    for name in names
    for ending in endings
)
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# The variables of one signal override the general ones, so they are removed when an option sets the general one.
_OVERRULED_BY = {
    f"OTEL_EXPORTER_OTLP_{name}": tuple(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}" for signal in Signal)
    for name in ("ENDPOINT", "PROTOCOL")
}


def emit_path() -> Path:
    """Return the ``hooks/emit`` of this package: inside it in an installed wheel, next to it in a checkout.

    Settings files name its copy in the home (``Home.emit``), not this file. A path into a Python environment breaks when the
    environment is removed, upgraded to another Python version, or temporary (``uvx``). Sessions would not fail, but nothing would
    capture them. The copy keeps capturing, and its events wait for the next installation.

    Raises:
        FileNotFoundError: the package is incomplete.
    """
    package = Path(claude_hooks_otel.__file__).parent
    for candidate in (package / "_hooks" / "emit", package.parent / "hooks" / "emit"):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"hooks/emit is missing from the installation in {package}. Install the package again.")


def home_of(settings_env: Mapping[str, str], environ: Mapping[str, str]) -> Home:
    """Return the home for a settings file: from this process's variable, else from the file's, else the usual one.

    A file may come with a cloned repository. So the home that it names counts only if ``install`` has recorded it before.

    Raises:
        RuntimeError: no environment variable names a folder.
    """
    named = settings_env.get(HOME_VARIABLE)
    if not environ.get(HOME_VARIABLE) and named and Home(Path(named)).is_trusted(environ):
        return Home(Path(named))
    return Home(Home.from_environment(environ).root.absolute())


def is_usual(home: Home, environ: Mapping[str, str]) -> bool:
    """Return whether hooks find this home without a variable. HOME is set wherever a session starts."""
    return bool(environ.get("HOME")) and home == Home.from_environment({"HOME": environ["HOME"]})


def otel_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the OpenTelemetry variables that the daemon needs and sessions do not give it."""
    return {name: value for name, value in variables_of(environ).items() if name.startswith(_TAKEN_OVER)}


def network_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for proxies and certificates. The daemon gets no other environment than the file's."""
    return {name: value for name, value in environ.items() if name.upper() in _NETWORK and value.strip()}


def forget_home(home: Home, environ: Mapping[str, str]) -> None:
    """Take a deleted home off the list in the usual one. If nothing else is there, delete that, too.

    Raises:
        OSError: the list cannot be written.
    """
    usual = Home.usual(environ)
    if usual is None or usual == home or str(home.root) not in (listed := usual.recorded()):
        return
    listed.remove(str(home.root))
    if listed:
        replace_file(usual.others, "".join(f"{line}\n" for line in listed).encode())
        return
    usual.others.unlink(missing_ok=True)
    if {path.name for path in usual.root.iterdir()} <= {usual.emit.name, usual.status_line.name}:
        shutil.rmtree(usual.root)


class HomeFiles:
    """The files that belong into a home, compared with those that are there.

    Args:
        home: the home.
        options: ``OTEL_*`` variables given as options; they override the environment's.
        environ: the environment of ``install``.
        with_emit: whether the home gets a copy of ``emit``. The plugin brings its own.
        tables: keys of other tables of the configuration; None removes one.
        with_status_line: whether the home gets the launcher of the status line. One that is there is renewed.

    Attributes:
        taken_over: the names of the variables that come from the environment.
        config: the new configuration.
        overruled: the names of variables that would override an option, and are removed.
        left_out: the names of variables with credentials for an endpoint that was replaced.
        notes: what was changed or ignored in the variables, a sentence each.

    Raises:
        ConfigError: the present or the new configuration cannot be used.
        FileNotFoundError: the package is incomplete.
    """

    def __init__(
        self,
        home: Home,
        options: Mapping[str, str],
        environ: Mapping[str, str],
        *,
        with_emit: bool,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        with_status_line: bool = False,
    ) -> None:
        self.home = home
        self._present = load(home.config, {})
        found, self.notes = adapted(otel_variables(environ))
        options = checked(options, self.notes)
        self.overruled = sorted(
            specific
            for general, specifics in _OVERRULED_BY.items()
            for specific in specifics
            if general in options and (specific in found or specific in self._present.otel)
        )
        self.taken_over = sorted(found.keys() - options.keys() - set(self.overruled))
        present = {name: value for name, value in self._present.otel.items() if name not in self.overruled}
        new = {name: found[name] for name in self.taken_over} | dict(options)
        chosen = overlay(present, new)
        self.left_out = sorted(present.keys() - chosen.keys())
        changes: dict[str, str | None] = {**dict.fromkeys(self._present.otel), **chosen}
        network = network_variables(environ)
        self.taken_over += sorted(network)
        if not tables and self._present.credentials.is_set and moved_signals(self._present.otel, chosen):
            tables = NO_CREDENTIALS
            self.left_out.append("[credentials]")
        self.config = self._present.with_changes({"otel": changes, "environment": network, **(tables or {})})
        _check(self.config, self.notes)
        self.notes += proxy_notes(self.config.otel, self.config.environment)
        self._files = {home.interpreter: f"{_interpreter()}\n".encode()}
        # A registered command finds ``emit`` in the usual home, and so does a hook the list of other homes that it may start a daemon in.
        self._anchor = Home.usual(environ) or home
        if with_emit:
            self._files[self._anchor.emit] = emit_path().read_bytes()
        if with_status_line or self._anchor.status_line.exists():
            self._files[self._anchor.status_line] = status_line.launcher(_interpreter())
        if not home.is_trusted(environ) and self._anchor != home:
            listed = [*self._anchor.recorded(), str(home.root)]
            self._files[self._anchor.others] = "".join(f"{line}\n" for line in listed).encode()

    @property
    def config_changed(self) -> bool:
        """Whether the configuration file will change."""
        return not self.home.config.exists() or self.config.given() != self._present.given()

    @property
    def changed(self) -> list[Path]:
        """The files that will be written."""
        config = [self.home.config] if self.config_changed else []
        return config + [path for path, content in self._files.items() if _content(path) != content]

    def write(self) -> bool:
        """Create the home and write what differs. Return whether anything did.

        Raises:
            OSError: the folder cannot be written.
        """
        changed = self.changed
        self.home.create()
        self._anchor.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.config_changed:
            save(self.home.config, self.config)
        for path in changed:
            if path in self._files:
                replace_file(path, self._files[path])
        return bool(changed)


def checked(options: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    """Return the options, the endpoint with its scheme.

    Raises:
        ConfigError: the endpoint has no scheme and is on another machine, so nobody knows whether to use TLS.
    """
    endpoint = options.get(_ENDPOINT)
    if endpoint is None:
        return dict(options)
    repaired = with_scheme(endpoint)
    if repaired != endpoint:
        notes.append(f"The endpoint has no scheme: {repaired} is used.")
    elif "://" not in endpoint and len(endpoint.split()) == 1:
        raise ConfigError(
            f"The endpoint {endpoint} has no scheme. Begin it with https://, or with http:// for a connection without TLS."
        )
    return {**options, _ENDPOINT: repaired}


def _check(config: Config, notes: list[str]) -> None:
    """Make sure that the exporters can be built from the new configuration, and note what they ignore."""
    # Imports OpenTelemetry, which nothing else in this module needs.
    from claude_hooks_otel.export.exporters import build_item_exporters, build_metric_exporters  # noqa: PLC0415

    otel = OtelSettings.from_config(config, {})
    exporters = [*build_metric_exporters(otel), *build_item_exporters(otel, Signal.TRACES)]
    ignored = list(otel.warnings)
    for exporter in (*exporters, *build_item_exporters(otel, Signal.LOGS)):
        ignored += exporter.warnings
        exporter.shutdown()
    notes += (f"{warning}." for warning in dict.fromkeys(ignored))


def _interpreter() -> str:
    """Return the path of this Python, unresolved: the link of a virtual environment points out of the environment."""
    if not sys.executable:
        raise ConfigError(
            "This Python does not know its own path, so hooks cannot find it. Run install with another Python."
        )
    return sys.executable


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
