"""Who sends: the OpenTelemetry resource and the instrumentation scope.

The resource of an installation stays the same, so that totals continue after a restart.
"""

from __future__ import annotations

from opentelemetry.sdk import resources
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version

from claude_hooks_otel import __version__
from claude_hooks_otel.settings import OtelSettings

DEFAULT_SERVICE_NAME = "claude-hooks-otel"

# The name that Claude Code's own telemetry uses.
ACCOUNT = "user.account_uuid"

SCOPE = InstrumentationScope("claude_hooks_otel", __version__)


def service_resource(otel: OtelSettings, instance_id: str, account: str | None = None) -> resources.Resource:
    """Return the resource of everything this installation exports.

    ``OTEL_SERVICE_NAME`` wins over ``OTEL_RESOURCE_ATTRIBUTES``, which wins over the defaults. The resource has no host name unless
    the owner puts one into the attributes.

    Args:
        otel: the settings.
        instance_id: ``service.instance.id`` if the attributes name none. Each store has one, and keeps it over restarts.
        account: the account of Claude Code, or its digest; None if the resource does not name it.
    """
    attributes = {
        resources.TELEMETRY_SDK_LANGUAGE: "python",
        resources.TELEMETRY_SDK_NAME: "opentelemetry",
        resources.TELEMETRY_SDK_VERSION: sdk_version,
        resources.SERVICE_NAME: DEFAULT_SERVICE_NAME,
        resources.SERVICE_VERSION: __version__,
        resources.SERVICE_INSTANCE_ID: instance_id,
    }
    if account is not None:
        attributes[ACCOUNT] = account
    attributes |= {key: value for key, value in otel.resource_attributes.items() if value or key not in attributes}
    if otel.service_name is not None:
        attributes[resources.SERVICE_NAME] = otel.service_name
    return resources.Resource(attributes)
