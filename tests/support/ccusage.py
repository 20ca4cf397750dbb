"""ccusage, the npm package that reads Claude Code's transcripts: its native binary, its reports and its price list."""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.transcripts import compact
from tests.support.places import ROOT

# The newest version of which npm has the native binaries. .ci/run installs it.
VERSION: Final = "20.0.24"
FOLDER: Final = ROOT / ".cache" / "ccusage"
_MACHINES: Final = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}

# Classes of tokens → how a usage has them. With 100,000 tokens a model has its first price, above 200,000 tokens another one.
_FIRST, _ABOVE, _SECOND = 100_000, 200_000, 300_000
_USAGES: Final = {
    "input": lambda tokens: {"input_tokens": tokens},
    "output": lambda tokens: {"output_tokens": tokens},
    "cache_read": lambda tokens: {"cache_read_input_tokens": tokens},
    "cache_write_5m": lambda tokens: {"cache_creation": {"ephemeral_5m_input_tokens": tokens}},
    "cache_write_1h": lambda tokens: {"cache_creation": {"ephemeral_1h_input_tokens": tokens}},
}


def binary() -> Path:
    """Return where the native binary is, once it is installed."""
    kind = f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    return FOLDER / "node_modules" / "@ccusage" / f"ccusage-{kind}" / "bin" / "ccusage"


def missing() -> str | None:
    """Return why ccusage cannot run here, and what installs it; None if it can."""
    if not binary().is_file():
        return f"ccusage is not installed: npm install --ignore-scripts --prefix .cache/ccusage ccusage@{VERSION}"
    binary().chmod(0o755)  # npm leaves that to the package's own script
    return None


def command(*arguments: str) -> list[str]:
    """Return the command line for a report about Claude Code alone, as JSON, without network."""
    return [str(binary()), "claude", *arguments, "--json", "--offline"]


def environment(folders: Sequence[Path]) -> dict[str, str]:
    """Return the variables with which it reads these configuration folders."""
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "CLAUDE_CONFIG_DIR": ",".join(map(str, folders))}


def report(kind: str, folders: Sequence[Path], zone: str = "UTC") -> dict[str, Any]:
    """Return a report: ``daily``, ``monthly``, ``session`` or ``blocks``."""
    found: dict[str, Any] = json.loads(
        subprocess.run(
            command(kind, "--timezone", zone), env=environment(folders), check=True, capture_output=True, timeout=120
        ).stdout
    )
    return found


@dataclass(frozen=True, slots=True)
class Prices:
    """Its price list, as its own reports show it.

    Attributes:
        listed: (model, whether in fast mode, class of tokens) → (dollars a token, dollars a token above 200,000). 0 without a price.
    """

    listed: dict[tuple[str, bool, str], tuple[float, float]]

    def cost(self, model: str, *, is_fast: bool, tokens: dict[str, int]) -> float:
        """Return what a request costs, in dollars."""
        total = 0.0
        for kind, number in tokens.items():
            first, second = self.listed[model, is_fast, kind]
            total += min(number, _ABOVE) * first + max(0, number - _ABOVE) * second
        return total

    def has(self, model: str) -> bool:
        """Return whether a model has a price."""
        return any(first for (name, _, _), (first, _) in self.listed.items() if name == model)


def read_prices(models: Iterable[str]) -> Prices:
    """Ask ccusage what the tokens of these models cost: a session for each model, speed, class and number of tokens."""
    questions = [
        (model, is_fast, kind, tokens)
        for model in sorted(models)
        for is_fast in (False, True)
        for kind in _USAGES
        for tokens in (_FIRST, _SECOND)
    ]
    with tempfile.TemporaryDirectory() as folder:
        projects = Path(folder, "projects", "-prices")
        projects.mkdir(parents=True)
        for number, (model, is_fast, kind, tokens) in enumerate(questions):
            usage = {"input_tokens": 0, "output_tokens": 0, "speed": "fast" if is_fast else "standard"}
            message = {"id": f"msg_{number}", "model": model, "usage": usage | _USAGES[kind](tokens)}
            line = {"type": "assistant", "timestamp": "2026-11-01T00:00:00.000Z", "requestId": f"req_{number}"}
            (projects / f"{number}.jsonl").write_bytes(compact(line | {"message": message}))
        costs = {int(each["sessionId"]): each["totalCost"] for each in report("session", [Path(folder)])["sessions"]}
    listed = {}
    for number in range(0, len(questions), 2):
        model, is_fast, kind, _ = questions[number]
        first, both = costs.get(number, 0.0), costs.get(number + 1, 0.0)
        second = (both - first * _ABOVE / _FIRST) / (_SECOND - _ABOVE)
        listed[model, is_fast, kind] = (_rounded(first / _FIRST), _rounded(second))
    return Prices(listed)


def _rounded(price: float) -> float:
    """Return a price without the errors of the division. A list has few digits."""
    return round(price * 1e9, 6) / 1e9
