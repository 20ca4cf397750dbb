"""Whether Claude Code shows our status line."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Final

from claude_hooks_otel.diagnosis.finding import Finding, Surroundings, ok, warn
from claude_hooks_otel.installation.status_line import LAUNCHER, SETTING, command_of, is_ours

_REMEDY: Final = "Run `claude-hooks-otel install --statusline`."
# Seconds. The line takes milliseconds.
_TIMEOUT: Final = 10


def status_line(surroundings: Surroundings) -> Iterator[Finding]:
    """Check the status line, if any settings register ours: that no other one replaces it, and that it prints something."""
    given = [settings for settings in surroundings.settings if settings.values.get(SETTING) is not None]
    if not any(is_ours(command_of(settings.values)) for settings in given):
        return
    winner = given[-1]  # a later one overrides an earlier one
    if surroundings.setting("disableAllHooks"):
        yield warn(
            "status line", "disableAllHooks is set, which also turns status lines off", "Remove it from the settings."
        )
    elif not is_ours(command_of(winner.values)):
        remedy = (
            "Ask your administrator to remove it."
            if winner.name == "managed"
            else f"Remove `{SETTING}` from that file, or run `claude-hooks-otel install --statusline --scope local` here."
        )
        yield warn(
            "status line",
            f"the {winner.name} settings have another one, which replaces ours here: {winner.path}",
            remedy,
        )
    elif not surroundings.usual_home.status_line.is_file():
        yield warn("status line", f"{surroundings.usual_home.status_line} is missing: nothing is shown", _REMEDY)
    else:
        yield _trial(surroundings)


def _trial(surroundings: Surroundings) -> Finding:
    """Run it without a session. A wrapped command is not run."""
    begin = time.monotonic()
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"sh {LAUNCHER}"],
            input=b"{}", env={**surroundings.environ}, cwd="/", capture_output=True, check=False, timeout=_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn("status line", f"it cannot be run: {type(error).__name__}", _REMEDY)
    took = (time.monotonic() - begin) * 1000
    if done.returncode or not done.stdout.strip():
        return warn(
            "status line",
            f"it prints nothing: exit code {done.returncode} {done.stderr.decode(errors='replace').strip()}",
            _REMEDY,
        )
    return ok("status line", f"it prints a line in {took:.0f} ms")


CHECKS = (status_line,)
