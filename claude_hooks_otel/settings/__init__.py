"""What the owner can set: one TOML file, a few variables over it, and OpenTelemetry's own variables.

``load`` reads the file into a ``Config``, ``OtelSettings.from_config`` reads the variables. Code that starts a
process does both once, with the environment of that process, and hands the values on.
"""

from claude_hooks_otel.settings.budgets import BudgetsConfig, WebhookConfig
from claude_hooks_otel.settings.credential_sources import CredentialsConfig
from claude_hooks_otel.settings.credentials import CredentialError, Credentials
from claude_hooks_otel.settings.errors import ConfigError
from claude_hooks_otel.settings.file import dump, keep_usable, load, load_usable, replace_file, save
from claude_hooks_otel.settings.managed import managed_files, managed_variables, read_managed
from claude_hooks_otel.settings.model import (
    CaptureConfig,
    CollaborationWeights,
    Config,
    DaemonConfig,
    IdentityConfig,
    LabelsConfig,
    OutboxConfig,
    PriceConfig,
    QualityWeights,
    ScoresConfig,
    SeriesConfig,
    XpWeights,
)
from claude_hooks_otel.settings.otel import (
    OtelSettings,
    SamplerSettings,
    SignalSettings,
    moved_signals,
    overlay,
    variables_in_effect,
    variables_of,
)
from claude_hooks_otel.settings.otlp import OtlpSettings
from claude_hooks_otel.settings.redaction import Redactor
from claude_hooks_otel.settings.signals import Signal

__all__ = [
    "BudgetsConfig",
    "CaptureConfig",
    "CollaborationWeights",
    "Config",
    "ConfigError",
    "CredentialError",
    "Credentials",
    "CredentialsConfig",
    "DaemonConfig",
    "IdentityConfig",
    "LabelsConfig",
    "OtelSettings",
    "OtlpSettings",
    "OutboxConfig",
    "PriceConfig",
    "QualityWeights",
    "Redactor",
    "SamplerSettings",
    "ScoresConfig",
    "SeriesConfig",
    "Signal",
    "SignalSettings",
    "WebhookConfig",
    "XpWeights",
    "dump",
    "keep_usable",
    "load",
    "load_usable",
    "managed_files",
    "managed_variables",
    "moved_signals",
    "overlay",
    "read_managed",
    "replace_file",
    "save",
    "variables_in_effect",
    "variables_of",
]
