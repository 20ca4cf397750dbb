"""Facts that the client's status line reports."""

from __future__ import annotations

from claude_hooks_otel.facts.model.fact import Fact, fact, greatest, key, once


@fact
class StatusReading(Fact):
    """What the client says about a session at a time. Nothing here adds to a series: the requests themselves are counted.

    Attributes:
        context_basis_points: how full the context window is, hundredths of a percent.
        context_size: its size, in tokens.
        cost: the client's own account of the session, in picodollars.
        lines_added: the lines that the client counts.
        lines_removed: the same for removed lines.
    """

    TIMES = ("at_ns",)

    session_id: str = key()
    at_ns: int = key()
    model: str | None = once()
    context_basis_points: int | None = once()
    context_size: int | None = once()
    cost: int | None = once()
    lines_added: int | None = once()
    lines_removed: int | None = once()


@fact
class LimitReading(Fact):
    """A share of a limit that was used up. The newest one of a window that has not begun again says how much is used now.

    Attributes:
        config_folder: the configuration folder of the client, which stands for the account; empty if it is unknown.
        limit_window: ``five_hour``, ``seven_day``, or another name of the client.
        resets_ns: when the window begins again.
        used_basis_points: how much is used, hundredths of a percent.
        at_ns: when a status line last said so.
    """

    TIMES = ("at_ns",)

    config_folder: str = key()
    limit_window: str = key()
    resets_ns: int = key()
    used_basis_points: int = key()
    at_ns: int | None = greatest()
