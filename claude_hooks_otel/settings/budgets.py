"""``[budgets]``: how much a day, a week and a month may cost, and what happens when it does."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from claude_hooks_otel.settings.table import Table, Text

Scope = Literal["all", "agent", "project", "team"]

# The most budgets of a configuration. Each is a series of the budget metrics.
MOST_BUDGETS: Final = 200


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError("a time zone is expected, such as Europe/Berlin or UTC") from None
    return name


# US dollars.
Dollars = Annotated[Decimal, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Threshold = Annotated[int, Field(ge=1, le=1000)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^https?://[^\s]+$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]


class BudgetLimits(Table):
    """US dollars for each calendar period, at list prices."""

    day: Dollars | None = None
    week: Dollars | None = None
    month: Dollars | None = None


class WebhookConfig(Table):
    """Where a notification is sent.

    Attributes:
        url: the address. It is a secret for Slack and ntfy, so no log and no screen shows it.
        format: ``slack`` (an incoming webhook), ``ntfy`` (a topic), or ``json`` (docs/budgets.md has the fields).
        headers: headers of the request, for example ``Authorization``.
    """

    url: Address = Field(repr=False)
    format: Literal["json", "slack", "ntfy"] = "json"
    headers: dict[HeaderName, Text] = Field(default={}, repr=False)


class BudgetsConfig(BudgetLimits):
    """Limits, and what happens when a threshold is reached. The limits at the top count everything.

    Attributes:
        agent: an agent's name → its limits.
        project: a project's name → its limits.
        team: a team's name → its limits.
        time_zone: whose days, weeks and months count; by default this machine's.
        thresholds: percent of a limit at which notifications are sent.
        notify: where notifications go: ``message`` (in Claude Code, at the next prompt), ``desktop``, ``webhook``.
        block: whether Claude Code refuses prompts while a limit is used up.
        webhook: where the notification ``webhook`` is sent.
    """

    agent: dict[Text, BudgetLimits] = Field(default={})
    project: dict[Text, BudgetLimits] = Field(default={})
    team: dict[Text, BudgetLimits] = Field(default={})
    time_zone: Zone | None = None
    thresholds: Annotated[tuple[Threshold, ...], Field(max_length=10)] = (80, 100)
    notify: tuple[Literal["message", "desktop", "webhook"], ...] = ("message",)
    block: bool = False
    webhook: WebhookConfig | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if "webhook" in self.notify and self.webhook is None:
            raise ValueError("notify has webhook, so [budgets.webhook] with a url is expected")
        if sum(1 for _ in self.limits()) > MOST_BUDGETS:
            raise ValueError(f"at most {MOST_BUDGETS} budgets are expected")
        return self

    def limits(self) -> Iterator[tuple[Scope, str, Literal["day", "week", "month"], Decimal]]:
        """Yield every budget: its scope, the name in it (``all`` for everything), its period, and US dollars."""
        scopes: tuple[tuple[Scope, dict[str, BudgetLimits]], ...] = (
            ("all", {"all": self}),
            ("agent", self.agent),
            ("project", self.project),
            ("team", self.team),
        )
        for scope, names in scopes:
            for name, limits in names.items():
                for period, dollars in (("day", limits.day), ("week", limits.week), ("month", limits.month)):
                    if dollars is not None:
                        yield scope, name, period, dollars  # type: ignore[misc]
