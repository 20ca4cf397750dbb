"""The configuration: one TOML file, a few variables over it, and the OpenTelemetry variables that take effect.

Claude Code removes every ``OTEL_*`` variable from the environment of hooks, so a daemon that a hook started knows only what
this file says (``install``, which does see them, writes them there) and what carries the prefix ``CLAUDE_HOOKS_``.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_args

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from claude_hooks_otel.home.paths import HOME_VARIABLE, Home

# Put before a variable's standard name, it survives Claude Code's scrubbing: CLAUDE_HOOKS_OTEL_SERVICE_NAME is OTEL_SERVICE_NAME.
PREFIX = "CLAUDE_HOOKS_"
# CLAUDE_HOOKS_OTEL_<SECTION>__<KEY> sets one key of these sections.
SECTIONS_WITH_VARIABLES = ("daemon", "series", "metrics", "traces", "capture", "outbox")

_SETTINGS_PREFIX = f"{PREFIX}OTEL_"
_NESTING = "__"


class ConfigError(Exception):
    """The configuration can not be used; the message says what was expected, where, and what to do."""


def _as_variable(value: object) -> object:
    """A TOML boolean or number as the text it would be in an environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
VariableName = Annotated[str, StringConstraints(pattern=r"^OTEL_[A-Z0-9_]+$")]
Variable = Annotated[str, BeforeValidator(_as_variable)]
Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    """A table of the file. Frozen: ``Config.with_changes`` is the way to another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IdentityConfig(_Section):
    """Who acts where nothing else says so; the variables of a session win over this."""

    agent: Text | None = None
    project: Text | None = None
    team: Text | None = None
    sprint: Text | None = None


class DaemonConfig(_Section):
    """How the daemon behaves.

    Attributes:
        idle_timeout_seconds: how long it stays with nothing to do.
        export_delay_seconds: how long changes gather before they are exported together.
        retention_days: how long facts are kept; series are kept for ever.
    """

    idle_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 900.0
    export_delay_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    retention_days: Annotated[int, Field(ge=1)] = 90


class SeriesConfig(_Section):
    """Bounds of the series.

    Attributes:
        limit: the cardinality limit of each metric, by default the OpenTelemetry SDK's (specification, Metrics SDK).
    """

    limit: Annotated[int, Field(ge=1)] = 2000


class MetricsConfig(_Section):
    """Which metrics there are beside our own.

    Attributes:
        gen_ai: whether the metrics of OpenTelemetry's GenAI conventions are exported, too.
    """

    gen_ai: bool = False


class TracesConfig(_Section):
    """How traces are made.

    Attributes:
        follow_traceparent: whether a turn continues the trace that ``TRACEPARENT`` names where its client was started.
    """

    follow_traceparent: bool = False


class CaptureConfig(_Section):
    """Which texts may leave the machine, with secrets redacted; of the others, the length and the SHA-256 do.

    Attributes:
        prompts: what people ask.
        commands: command lines of shell tools.
        paths: the files that tools are called on.
        tool_output: tools' inputs and outputs.
        max_characters: how much of each text is kept.
    """

    prompts: bool = False
    commands: bool = False
    paths: bool = False
    tool_output: bool = False
    max_characters: Annotated[int, Field(ge=1)] = 4096


class OutboxConfig(_Section):
    """Bounds of what waits for an endpoint of traces or logs; the oldest is given up, and counted.

    Attributes:
        max_megabytes: of waiting spans and log events together.
        max_age_hours: how long one waits.
    """

    max_megabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 256.0
    max_age_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 168.0


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class XpWeights(_Section):
    """What each delivery is worth; ``bug_introduced`` is taken off."""

    story_point: Weight = 10.0
    feature: Weight = 20.0
    commit: Weight = 2.0
    pull_request_merged: Weight = 15.0
    bug_introduced: Weight = 15.0


class QualityWeights(_Section):
    """How much each check on an agent's work counts."""

    test_suite: Weight = 1.0
    pull_request: Weight = 1.0
    bug_introduced: Weight = 1.0


class CollaborationWeights(_Section):
    """How much each kind of hand-over counts."""

    subagent: Weight = 1.0
    task: Weight = 1.0
    pull_request: Weight = 1.0


class ScoresConfig(_Section):
    """What the scores of an agent are made of (``series.scores``).

    Attributes:
        window_days: what efficiency, quality and collaboration look back on.
        xp_per_level: experience of the first level; level n takes (n - 1) squared times it.
        xp: weights of the experience.
        quality: weights of the quality score.
        collaboration: weights of the collaboration score.
    """

    window_days: Annotated[int, Field(ge=1)] = 30
    xp_per_level: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    xp: XpWeights = XpWeights()
    quality: QualityWeights = QualityWeights()
    collaboration: CollaborationWeights = CollaborationWeights()


class MonitoringConfig(_Section):
    """Where the data can be seen.

    Attributes:
        prometheus_url: the Prometheus that ``doctor`` asks whether it arrived.
    """

    prometheus_url: Text | None = None


class PriceConfig(_Section):
    """What a model costs, in US dollars per million tokens. A class that is not given has no price of its own here."""

    input: Price
    output: Price
    cache_read: Price | None = None
    cache_write_5m: Price | None = None
    cache_write_1h: Price | None = None


class Config(BaseSettings):
    """Everything a user can set. Building one by hand reads neither file nor environment: ``load`` does.

    Attributes:
        identity: labels for sessions that bring none.
        projects: a folder -> the name of the project in it and below it; the deepest folder decides.
        otel: standard ``OTEL_*`` variables, verbatim.
        daemon: how the daemon behaves.
        series: bounds of the series.
        metrics: which metrics there are beside our own.
        traces: how traces are made.
        capture: which texts may leave the machine.
        outbox: bounds of what waits for an endpoint of traces or logs.
        monitoring: where the data can be seen.
        scores: what the scores of an agent are made of.
        prices: a model's name -> what it costs.
        exporters: a custom exporter's name -> its class and options (``export.custom.registry``).
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=_SETTINGS_PREFIX, env_nested_delimiter=_NESTING
    )

    identity: IdentityConfig = IdentityConfig()
    projects: dict[Text, Text] = {}
    otel: dict[VariableName, Variable] = Field(default={}, repr=False)  # headers hold secrets
    daemon: DaemonConfig = DaemonConfig()
    series: SeriesConfig = SeriesConfig()
    metrics: MetricsConfig = MetricsConfig()
    traces: TracesConfig = TracesConfig()
    capture: CaptureConfig = CaptureConfig()
    outbox: OutboxConfig = OutboxConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    scores: ScoresConfig = ScoresConfig()
    prices: dict[Text, PriceConfig] = {}
    exporters: dict[Text, dict[str, Any]] = Field(default={}, repr=False)  # options hold secrets

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic-settings fixes the parameters
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone; ``load`` hands them over."""
        return (init_settings,)

    def project_for(self, directory: str | os.PathLike[str]) -> str | None:
        """The project that ``[projects]`` names for a directory: the deepest listed folder at or above it decides."""
        listed = {Path(prefix).expanduser(): name for prefix, name in self.projects.items()}
        path = Path(directory)
        return next((listed[folder] for folder in (path, *path.parents) if folder in listed), None)

    def price_overrides(self) -> dict[str, dict[str, Decimal]]:
        """Model name -> class of token -> US dollars per million tokens; only the classes that are given."""
        return {model: price.model_dump(exclude_none=True) for model, price in self.prices.items()}

    def with_changes(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """This configuration with some keys of some sections set, or removed where the value is None.

        Raises:
            ConfigError: a key is unknown or a value is not what it has to be.
        """
        values = _given(self)
        for section, keys in changes.items():
            table = values.get(section, {}) | keys
            values[section] = {key: value for key, value in table.items() if value is not None}
        try:
            return type(self)(**values)
        except ValidationError as error:
            raise ConfigError("\n".join(_problems(error))) from None


def load(home: Home, environ: Mapping[str, str] | None = None) -> Config:
    """What the file says, and over it the variables of ``environ`` that set a key, such as ``CLAUDE_HOOKS_OTEL_DAEMON__...``.

    Whoever means to ``save`` the result passes an empty ``environ``, so that a variable never ends up in the file.

    Raises:
        ConfigError: the file can not be read, is not TOML, or holds a key or value that is not known.
    """
    variables = EnvSettingsSource(Config)
    variables.env_vars = dict(_setting_variables(os.environ if environ is None else environ))
    try:
        values = TomlConfigSettingsSource(Config, toml_file=home.config)()
        for section, keys in variables().items():
            values[section] = values.get(section, {}) | keys
        return Config(**values)
    except tomllib.TOMLDecodeError as error:
        problems = [f"not TOML: {error}"]
    except UnicodeDecodeError as error:
        problems = [f"not UTF-8 text: {error.reason} at byte {error.start}"]
    except OSError as error:
        problems = [f"can not be read: {error.strerror}"]
    except ValidationError as error:
        problems = list(_problems(error, variables.env_vars))
    except (TypeError, ValueError) as error:
        problems = [f"not the shape of a configuration: {error}"]
    listing = "\n".join(f"  - {problem}" for problem in problems)
    raise ConfigError(f"{home.config}:\n{listing}\nCorrect it, or move it away to use the defaults.")


def dump(config: Config) -> str:
    """The configuration as TOML, without what was never set."""
    return tomli_w.dumps(_given(config))


def save(home: Home, config: Config) -> None:
    """Writes the file in one step, readable by its owner alone; comments of an older file are not kept.

    Raises:
        OSError: the folder can not be written.
    """
    path = Path(os.path.realpath(home.config))  # somebody's link into a folder of dotfiles stays a link
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(dump(config))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def otel_environment(config: Config, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The ``OTEL_*`` variables that take effect.

    Later ones win: ``[otel]`` of the file, ``OTEL_*`` of the process, ``CLAUDE_HOOKS_OTEL_*`` of the process. An empty value is
    no value (OpenTelemetry specification, "Parsing empty value").
    """
    environ = os.environ if environ is None else environ
    standard = {name: value for name, value in environ.items() if name.startswith("OTEL_")}
    prefixed = {
        name.removeprefix(PREFIX): value
        for name, value in environ.items()
        if name.startswith(_SETTINGS_PREFIX) and name != HOME_VARIABLE and not _is_setting(name)
    }
    effective: dict[str, str] = {}
    for layer in (config.otel, standard, prefixed):
        effective |= {name: value for name, value in layer.items() if value.strip()}
    return effective


def _is_setting(name: str) -> bool:
    """Whether a variable sets a key of the configuration."""
    return name.startswith(
        tuple(f"{_SETTINGS_PREFIX}{section.upper()}{_NESTING}" for section in SECTIONS_WITH_VARIABLES)
    )


def _setting_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The variables that set a key, in the lower case in which pydantic-settings looks for them."""
    return ((name.lower(), value) for name, value in environ.items() if _is_setting(name) and value)


def _given(config: Config) -> dict[str, Any]:
    """What was set, as plain values; sections with nothing in them are left out."""
    return {section: keys for section, keys in config.model_dump(exclude_unset=True).items() if keys}


def _problems(error: ValidationError, variables: Mapping[str, str | None] | None = None) -> Iterator[str]:
    """One sentence for each thing that is wrong. Values are not repeated: one may be a secret."""
    for problem in error.errors(include_input=False, include_url=False):
        location = [str(part) for part in problem["loc"] if part != "[key]"]
        name = ".".join(location)
        variable = f"{_SETTINGS_PREFIX}{_NESTING.join(location)}"
        if variables and variable.lower() in variables:
            name = f"{name} (from {variable.upper()})"
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {name}; known here: {', '.join(_known_keys(location[:-1]))}"
        elif location[:1] == ["otel"] and problem["type"] == "string_pattern_mismatch":
            yield f"unknown key {name}; known here: OpenTelemetry's variables, such as OTEL_EXPORTER_OTLP_ENDPOINT"
        elif problem["type"] in {"dict_type", "model_type"}:
            yield f"{name}: a table is expected here, written [{name}]"
        else:
            yield f"{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _known_keys(location: list[str]) -> list[str]:
    """The keys that the table at ``location`` may hold."""
    model: Any = Config
    for part in location:
        annotation = model.model_fields[part].annotation if hasattr(model, "model_fields") else None
        # A table of tables ([prices."name"]): its values' type, in place of the name.
        model = annotation if annotation is not None else get_args(model)[-1]
    return list(model.model_fields)
