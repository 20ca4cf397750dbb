"""The files of the monitoring stack: Compose, Collector, Prometheus, Alertmanager, Grafana, rules, dashboards and the runbook."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import claude_hooks_otel
from claude_hooks_otel.settings import replace_file

COMPOSE_FILE: Final = "docker-compose.yml"
# Compose reads the variables of its file from here.
VARIABLES: Final = ".env"
PASSWORD: Final = "GRAFANA_ADMIN_PASSWORD"  # noqa: S105 — the name of the variable
# The files that their owner edits. An update does not replace them.
_OWNERS: Final = frozenset(("alertmanager.yml", "rules/claude-budget.yml", VARIABLES))
_PAGES: Final = ("RUNBOOK.md", "SUPPORT.md")


def source() -> Path:
    """Return the ``monitoring`` folder of this package: inside it in an installed wheel, next to it in a checkout.

    Raises:
        FileNotFoundError: the package is incomplete.
    """
    package = Path(claude_hooks_otel.__file__).parent
    for candidate in (package / "_monitoring", package.parent / "monitoring"):
        if (candidate / "setup" / COMPOSE_FILE).is_file():
            return candidate
    raise FileNotFoundError(f"The monitoring stack is missing from the installation in {package}. Install it again.")


def dashboards() -> list[Path]:
    """Return the files of the dashboards.

    Raises:
        FileNotFoundError: the package is incomplete.
    """
    return sorted((source() / "setup" / "grafana-dashboards").glob("*.json"))


def _files() -> Iterator[tuple[str, bytes]]:
    """Yield each file's path in the folder of the stack, and its content."""
    root = source()
    setup = root / "setup"
    for path in sorted(setup.rglob("*")):
        if path.is_file() and path.name != VARIABLES:
            yield path.relative_to(setup).as_posix(), path.read_bytes()
    for name in _PAGES:
        yield name, (root / name).read_bytes()


def write(folder: Path) -> list[Path]:
    """Write the stack into a folder and return what changed. The files that their owner edits are written only if they are missing.

    The folder gets a ``.env`` with a random password for Grafana's ``admin``, which only its owner can read.

    Raises:
        OSError: the folder cannot be written.
    """
    files = dict(_files())
    line = f"{PASSWORD}=\n"
    example = files[".env.example"].decode()
    files[VARIABLES] = example.replace(line, f"{PASSWORD}={secrets.token_urlsafe(24)}\n", 1).encode()
    changed = []
    for name, content in files.items():
        path = folder / name
        if path.exists() and (name in _OWNERS or path.read_bytes() == content):
            continue
        for parent in reversed(path.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(parents=True, exist_ok=True)
            (folder / parent).chmod(0o755)  # the containers run as other users, and they read what is mounted
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        path.chmod(0o600 if name == VARIABLES else 0o644)
        changed.append(path)
    return changed
