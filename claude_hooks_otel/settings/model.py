"""The tables of the configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from claude_hooks_otel.settings.budgets import BudgetsConfig
from claude_hooks_otel.settings.credential_sources import CredentialsConfig
from claude_hooks_otel.settings.errors import ConfigError, problems
from claude_hooks_otel.settings.table import Table, Text


def _as_variable(value: object) -> object:
    """Return a TOML boolean or number as the text that it would be in an environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


VariableName = Annotated[str, StringConstraints(pattern=r"^OTEL_[A-Z0-9_]+$")]
Variable = Annotated[str, BeforeValidator(_as_variable)]
Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


ProcessVariable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class IdentityConfig(Table):
    """Labels for sessions that set none. A session's own variables win.

    Attributes:
        user: the value of the label ``user``, if ``[labels]`` chooses it.
        machine: the value of the label ``machine``, if ``[labels]`` chooses it; by default the host name.
    """

    agent: Text | None = None
    project: Text | None = None
    team: Text | None = None
    sprint: Text | None = None
    user: Text | None = None
    machine: Text | None = None


ChosenLabel = Literal["user", "machine", "branch", "organization"]


class LabelsConfig(Table):
    """Labels that can name people or have many values. None of them is used unless it is listed here.

    Attributes:
        metrics: those on metrics, and so in reports.
        spans: those on spans.
        logs: those on log events.
        user: where the user comes from if ``[identity]`` has none.
        user_salt: the team's salt. With it, the user is only an HMAC-SHA256.
    """

    metrics: tuple[ChosenLabel, ...] = ()
    spans: tuple[ChosenLabel, ...] = ()
    logs: tuple[ChosenLabel, ...] = ()
    user: Literal["account", "git-email", "git-name", "variable"] = "account"
    user_salt: Text | None = Field(default=None, repr=False)

    @property
    def chosen(self) -> frozenset[str]:
        """Every label that is used somewhere."""
        return frozenset((*self.metrics, *self.spans, *self.logs))


class DaemonConfig(Table):
    """The daemon's times.

    Attributes:
        idle_timeout_seconds: how long it stays with nothing to do.
        export_delay_seconds: how long changes gather before they are exported together.
        retention_days: how long facts are kept. Series stay.
    """

    idle_timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 900.0
    export_delay_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    retention_days: Annotated[int, Field(ge=1)] = 90


class SpoolConfig(Table):
    """Limits for the events that wait to be read. Beyond them, large ones are reduced, and then the oldest are dropped and counted.

    Attributes:
        max_megabytes: the size of all waiting events together.
        max_events: how many events wait.
        max_age_days: how long an event waits.
    """

    max_megabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 256.0
    max_events: Annotated[int, Field(ge=1)] = 200_000
    max_age_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0


class SeriesConfig(Table):
    """Bounds of the series.

    Attributes:
        limit: the cardinality limit of each metric, by default the OpenTelemetry SDK's (specification, Metrics SDK).
    """

    limit: Annotated[int, Field(ge=1)] = 2000


class MetricsConfig(Table):
    """Metrics that are exported in addition to our own.

    Attributes:
        gen_ai: whether the metrics of OpenTelemetry's GenAI conventions are exported.
    """

    gen_ai: bool = False


class TracesConfig(Table):
    """How traces are made.

    Attributes:
        follow_traceparent: whether a turn continues the trace that ``TRACEPARENT`` names where its client was started.
    """

    follow_traceparent: bool = False


class CaptureConfig(Table):
    """What may leave the machine. Texts have their secrets redacted. Of the others, only length and SHA-256 leave it.

    Attributes:
        prompts: what people ask.
        commands: command lines of shell tools.
        paths: the files that tools are called on.
        tool_output: tools' inputs and outputs.
        max_characters: how much of each text is kept.
        account: whether the resource names the account of Claude Code, ``plain`` or as its SHA-256.
    """

    prompts: bool = False
    commands: bool = False
    paths: bool = False
    tool_output: bool = False
    max_characters: Annotated[int, Field(ge=1)] = 4096
    account: Literal["none", "hashed", "plain"] = "none"


class OutboxConfig(Table):
    """Limits for the spans and log events that wait for an endpoint. Beyond them, the oldest items are dropped and counted.

    Attributes:
        max_megabytes: the size of all waiting spans and log events together.
        max_age_hours: how long an item waits.
    """

    max_megabytes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 256.0
    max_age_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 168.0


class XpWeights(Table):
    """Experience that each delivery earns. ``bug_introduced`` is subtracted."""

    story_point: Weight = 10.0
    feature: Weight = 20.0
    commit: Weight = 2.0
    pull_request_merged: Weight = 15.0
    bug_introduced: Weight = 15.0


class QualityWeights(Table):
    """How much each check on an agent's work counts."""

    test_suite: Weight = 1.0
    pull_request: Weight = 1.0
    bug_introduced: Weight = 1.0


class CollaborationWeights(Table):
    """How much each kind of hand-over counts."""

    subagent: Weight = 1.0
    task: Weight = 1.0
    pull_request: Weight = 1.0


class ScoresConfig(Table):
    """How the scores of an agent are computed (``series.scores``).

    Attributes:
        window_days: the days that efficiency, quality and collaboration look back on.
        xp_per_level: experience of the first level. Level n takes (n - 1) squared times it.
        xp: weights of the experience.
        quality: weights of the quality score.
        collaboration: weights of the collaboration score.
    """

    window_days: Annotated[int, Field(ge=1)] = 30
    xp_per_level: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    xp: XpWeights = XpWeights()
    quality: QualityWeights = QualityWeights()
    collaboration: CollaborationWeights = CollaborationWeights()


class MonitoringConfig(Table):
    """Where the data can be seen.

    Attributes:
        prometheus_url: the Prometheus that ``doctor`` asks whether the data arrived.
        backend: the name of the backend in ``backends.toml``, whose typical errors ``doctor`` explains.
    """

    prometheus_url: Text | None = None
    backend: Text | None = None


class PriceConfig(Table):
    """The price of a model, in US dollars per million tokens. A missing cache class costs its usual share of the input price."""

    input: Price
    output: Price
    cache_read: Price | None = None
    cache_write_5m: Price | None = None
    cache_write_1h: Price | None = None


class Config(Table):
    """Everything a user can set. ``load`` reads it.

    Attributes:
        identity: labels for sessions that set none.
        labels: labels that can name people or have many values, and where they are used.
        agents: a folder → the name of the agent that works in it and below it. The deepest folder decides.
        projects: a folder → the name of the project in it and below it. The deepest folder decides.
        otel: standard ``OTEL_*`` variables, verbatim.
        environment: variables of the daemon's process, such as proxies and certificates. A daemon that a hook starts gets no others.
        daemon: the daemon's times.
        spool: limits for the events that wait to be read.
        series: bounds of the series.
        metrics: metrics that are exported in addition to our own.
        traces: how traces are made.
        capture: texts that may leave the machine.
        outbox: limits for the spans and log events that wait for an endpoint.
        monitoring: where the data can be seen.
        credentials: headers with credentials that expire.
        scores: how the scores of an agent are computed.
        budgets: how much a day, a week and a month may cost.
        prices: a model's name → its price.
        exporters: a custom exporter's name → its class and options (``export.custom.registry``).
    """

    identity: IdentityConfig = IdentityConfig()
    labels: LabelsConfig = LabelsConfig()
    agents: dict[Text, Text] = Field(default={})
    projects: dict[Text, Text] = Field(default={})
    otel: dict[VariableName, Variable] = Field(default={}, repr=False)  # headers hold secrets
    environment: dict[ProcessVariable, Variable] = Field(default={}, repr=False)  # proxies can hold passwords
    daemon: DaemonConfig = DaemonConfig()
    spool: SpoolConfig = SpoolConfig()
    series: SeriesConfig = SeriesConfig()
    metrics: MetricsConfig = MetricsConfig()
    traces: TracesConfig = TracesConfig()
    capture: CaptureConfig = CaptureConfig()
    outbox: OutboxConfig = OutboxConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    credentials: CredentialsConfig = CredentialsConfig()
    scores: ScoresConfig = ScoresConfig()
    budgets: BudgetsConfig = BudgetsConfig()
    prices: dict[Text, PriceConfig] = Field(default={})
    exporters: dict[Text, dict[str, Any]] = Field(default={}, repr=False)  # options hold secrets

    def labels_for(self, directory: str | os.PathLike[str]) -> dict[str, str | None]:
        """Return the agent and the project that ``[agents]`` and ``[projects]`` name for a directory.

        The deepest listed folder at or above it decides.
        """
        return {"agent": _deepest(self.agents, directory), "project": _deepest(self.projects, directory)}

    def price_overrides(self) -> dict[str, dict[str, Decimal]]:
        """Return a model's name → class of token → US dollars per million tokens, with only the classes that are given."""
        return {model: price.model_dump(exclude_none=True) for model, price in self.prices.items()}

    def given(self) -> dict[str, Any]:
        """Return what was set, as plain values, without empty sections."""
        return {section: keys for section, keys in self.model_dump(exclude_unset=True).items() if keys}

    def with_changes(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return this configuration with some keys of some sections set, or removed where the value is None.

        Raises:
            ConfigError: a key is unknown or a value is invalid.
        """
        values = self.given()
        for section, keys in changes.items():
            table = values.get(section, {}) | keys
            values[section] = {key: value for key, value in table.items() if value is not None}
        try:
            return type(self)(**values)
        except ValidationError as error:
            raise ConfigError("\n".join(problems(error, type(self)))) from None


def _deepest(names: Mapping[str, str], directory: str | os.PathLike[str]) -> str | None:
    listed = {Path(prefix).expanduser(): name for prefix, name in names.items()}
    path = Path(directory)
    return next((listed[folder] for folder in (path, *path.parents) if folder in listed), None)
