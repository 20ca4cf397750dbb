"""What OpenTelemetry's variables say, read once.

A daemon that a hook starts knows only what the configuration file says: ``install`` sees the variables and writes them there. The variables
themselves count for a daemon in the foreground and for ``install``. Claude Code removes ``OTEL_*`` from the environment of sessions, so
there each of them can have the prefix ``CLAUDE_HOOKS_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from claude_hooks_otel.resource_attributes import resource_attributes
from claude_hooks_otel.settings.credentials import Credentials
from claude_hooks_otel.settings.errors import KEY_PREFIX, PREFIX, ConfigError
from claude_hooks_otel.settings.file import sets_key
from claude_hooks_otel.settings.managed import managed_variables
from claude_hooks_otel.settings.model import Config
from claude_hooks_otel.settings.otlp import OtlpSettings, read_otlp, whole_number
from claude_hooks_otel.settings.redaction import Redactor, secrets_in
from claude_hooks_otel.settings.signals import Signal

SUPPORTED_EXPORTERS = ("otlp", "console", "none")

# Milliseconds after which unchanged totals are exported again: a Collector's Prometheus exporter forgets what it has not received
# for five minutes.
DEFAULT_INTERVAL_MS = 60_000

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
DEFAULT_SAMPLER = "parentbased_always_on"

# The variables with which an endpoint recognizes its client.
_CREDENTIALS = ("HEADERS", "CLIENT_KEY", "CLIENT_CERTIFICATE")
# The home's variable looks like one of OpenTelemetry's with our prefix.
_HOME_VARIABLE = "CLAUDE_HOOKS_OTEL_HOME"


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Where one signal goes.

    Attributes:
        exporters: ``otlp`` and ``console``, each at most once, in the order of the variable.
        otlp: how ``otlp`` sends; None without it.
        is_requested: whether a variable asks for this very signal; an endpoint for all signals does not.
        error: why the settings cannot be used, and what to do; None if they can.
    """

    exporters: tuple[str, ...] = ()
    otlp: OtlpSettings | None = None
    is_requested: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """Which traces are sent.

    Attributes:
        name: one of ``SAMPLERS``.
        ratio: the share of traces that a ``traceidratio`` sampler sends, from 0 to 1.
    """

    name: str = DEFAULT_SAMPLER
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class OtelSettings:
    """Everything that the ``OTEL_*`` variables in effect say.

    Attributes:
        signals: where each signal goes.
        export_interval_s: seconds after which unchanged totals are exported again.
        sampler: which traces are sent.
        service_name: the service's name; None if no variable sets it.
        resource_attributes: what ``OTEL_RESOURCE_ATTRIBUTES`` adds to the resource. Some of it also sets labels.
        warnings: settings that are ignored, one sentence each. Those of an exporter are with its signal.
        redact: takes the secrets of the variables and of the credentials out of a text.
        credentials: headers with credentials that expire; None without them.
        credential_signals: the signals whose requests carry them.
    """

    signals: Mapping[Signal, SignalSettings]
    export_interval_s: float
    sampler: SamplerSettings
    service_name: str | None
    resource_attributes: Mapping[str, str]
    warnings: tuple[str, ...]
    redact: Redactor = field(repr=False, compare=False)
    credentials: Credentials | None = field(default=None, repr=False, compare=False)
    credential_signals: frozenset[Signal] = frozenset()

    def credentials_for(self, signal: Signal) -> Credentials | None:
        """Return the credentials that the requests of a signal carry; None without any."""
        return self.credentials if signal in self.credential_signals else None

    @classmethod
    def from_config(cls, config: Config, environ: Mapping[str, str], *, is_own: bool = True) -> Self:
        """Return the settings of a process. What the organization's managed settings say wins (``settings.managed``).

        Args:
            config: the configuration, for its ``[otel]`` and ``[credentials]``.
            environ: the environment of the process.
            is_own: whether the configuration is the owner's for sure. Only then it may run a command, read a token and send it.
        """
        variables = overlay(variables_in_effect(config, environ), variables_of(managed_variables()))
        settings = cls.from_variables(variables)
        if not config.credentials.is_set:
            return settings
        if not is_own:
            warning = "[credentials] is left out: no install has recorded this home. Run `claude-hooks-otel install`."
            return replace(settings, warnings=(*settings.warnings, warning))
        # The file's credentials are for the file's endpoints.
        own = frozenset(config.credentials.signals) - moved_signals(config.otel, variables)
        credentials = Credentials(config.credentials, config.environment, settings.redact)
        return replace(settings, credentials=credentials, credential_signals=own)

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Self:
        """Return what ``OTEL_*`` variables say. It never raises: an error is a value of its signal."""
        warnings: list[str] = []
        redact = Redactor(secrets_in(variables))
        return cls(
            signals={signal: _signal(variables, signal) for signal in Signal},
            export_interval_s=_interval_ms(variables, warnings) / 1000,
            sampler=_sampler(variables, warnings),
            service_name=variables.get("OTEL_SERVICE_NAME", "").strip() or None,
            resource_attributes=_resource_attributes(variables, warnings),
            warnings=tuple(map(redact, warnings)),  # after the lines that add to it
            redact=redact,
        )


def variables_in_effect(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the ``OTEL_*`` variables that take effect.

    Later ones win: ``[otel]`` of the file, ``OTEL_*`` of the process, ``CLAUDE_HOOKS_OTEL_*`` of the process. An empty value
    counts as unset (OpenTelemetry specification, "Parsing empty value"). Credentials of a file never go to an endpoint of the process.
    """
    return overlay(overlay({}, config.otel), variables_of(environ))


def variables_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the ``OTEL_*`` variables of an environment. One with the prefix ``CLAUDE_HOOKS_`` wins over the same one without it."""
    standard = {name: value for name, value in environ.items() if name.startswith("OTEL_")}
    prefixed = {
        name.removeprefix(PREFIX): value
        for name, value in environ.items()
        if name.startswith(KEY_PREFIX) and name != _HOME_VARIABLE and not sets_key(name)
    }
    return overlay(overlay({}, standard), prefixed)


def overlay(lower: Mapping[str, str], upper: Mapping[str, str]) -> dict[str, str]:
    """Return variables with others over them. If those move an endpoint, the credentials for the previous endpoint are left out."""
    given = {name: value for name, value in upper.items() if value.strip()}
    both = {**lower, **given}
    moved = moved_signals(lower, both)
    if not moved:
        return both
    for kind in _CREDENTIALS:
        shared = f"OTEL_EXPORTER_OTLP_{kind}"
        own = {signal: f"OTEL_EXPORTER_OTLP_{signal.upper()}_{kind}" for signal in Signal}
        for signal, name in own.items():
            if signal in moved and name not in given:
                both.pop(name, None)
            elif signal not in moved and shared in lower:
                both.setdefault(name, lower[shared])
        if shared not in given:
            both.pop(shared, None)
    return both


def moved_signals(before: Mapping[str, str], after: Mapping[str, str]) -> set[Signal]:
    """Return the signals that went to another endpoint before. One that had no endpoint has not moved."""
    return {signal for signal in Signal if _endpoint(before, signal) not in {"", _endpoint(after, signal)}}


def _endpoint(variables: Mapping[str, str], signal: Signal) -> str:
    return variables.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT") or variables.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT", ""
    )


def _signal(variables: Mapping[str, str], signal: Signal) -> SignalSettings:
    try:
        names = _exporter_names(variables, signal)
        otlp = read_otlp(variables, signal) if "otlp" in names else None
    except ConfigError as error:
        return SignalSettings(error=str(error))
    own = (f"OTEL_{signal.upper()}_EXPORTER", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return SignalSettings(tuple(names), otlp, any(variables.get(name, "").strip() for name in own))


def _exporter_names(variables: Mapping[str, str], signal: Signal) -> list[str]:
    """Return the names in ``OTEL_<signal>_EXPORTER``, each once. If it is unset, an OTLP endpoint means ``otlp``."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    text = variables.get(variable, "")
    names = list(dict.fromkeys(filter(None, (part.strip().lower() for part in text.split(",")))))
    if not names:
        endpoints = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        return ["otlp"] if any(variables.get(name, "").strip() for name in endpoints) else []
    if unknown := [name for name in names if name not in SUPPORTED_EXPORTERS]:
        raise ConfigError(f"{variable}={text}: {', '.join(unknown)} is not known; use {', '.join(SUPPORTED_EXPORTERS)}")
    if names == ["none"]:
        return []
    if "none" in names:
        raise ConfigError(f"{variable}={text}: use none alone, or the others without it")
    return names


def _interval_ms(variables: Mapping[str, str], warnings: list[str]) -> int:
    text = variables.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if not text:
        return DEFAULT_INTERVAL_MS
    milliseconds = whole_number(text)
    if not milliseconds:
        warnings.append(
            f"OTEL_METRIC_EXPORT_INTERVAL={text} is not a positive number of milliseconds: {DEFAULT_INTERVAL_MS} is used"
        )
    return milliseconds or DEFAULT_INTERVAL_MS


def _sampler(variables: Mapping[str, str], warnings: list[str]) -> SamplerSettings:
    """Return what ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` say.

    An unknown name or argument is ignored with a warning, as the specification says (OpenTelemetry specification,
    "Environment Variable Specification", "General SDK Configuration").
    """
    name = variables.get("OTEL_TRACES_SAMPLER", "").strip().lower() or DEFAULT_SAMPLER
    if name not in SAMPLERS:
        warnings.append(f"OTEL_TRACES_SAMPLER={name} is not known ({', '.join(SAMPLERS)}): {DEFAULT_SAMPLER} is used")
        return SamplerSettings()
    text = variables.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if not text or not name.endswith("traceidratio"):
        return SamplerSettings(name)
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        warnings.append(f"OTEL_TRACES_SAMPLER_ARG={text} is not a number from 0 to 1: 1 is used")
        return SamplerSettings(name)
    return SamplerSettings(name, ratio)


def _resource_attributes(variables: Mapping[str, str], warnings: list[str]) -> dict[str, str]:
    """Return the attributes. If one cannot be decoded, all are left out with a warning, as the specification says."""
    try:
        return resource_attributes(variables.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    except ValueError as error:
        warnings.append(f"OTEL_RESOURCE_ATTRIBUTES is left out: {error}")
        return {}
