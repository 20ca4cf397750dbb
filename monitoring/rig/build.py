"""Builds the servers that the proofs run, once for each set of versions, into a cache outside the checkout.

``python -m monitoring.rig.build`` builds all of them and prints where they are. Versions and checksums stand in the ``go.mod``
and ``go.sum`` beside this file. On two cores, with an empty module cache, the Collector takes three to four minutes, Prometheus
with promtool one and a half, amtool half a minute.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


class UnavailableError(Exception):
    """The servers cannot be built here; the message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One program.

    Attributes:
        name: what it is called.
        module: the folder beside this file whose go.mod fixes its version.
        package: what to build.
        tags: build tags.
    """

    name: str
    module: str
    package: str
    tags: str = ""


# Prometheus without the service discoveries of clouds: the shipped configuration uses static targets, and they are most of the build.
_WITHOUT_CLOUDS = "remove_all_sd"
COMMANDS = {
    command.name: command
    for command in (
        Command("otelcol", "collector", "."),
        Command("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", _WITHOUT_CLOUDS),
        Command("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool", _WITHOUT_CLOUDS),
        Command("amtool", "prometheus", "github.com/prometheus/alertmanager/cmd/amtool"),
        Command("compose", "compose", "."),
    )
}


def cache() -> Path:
    """Where binaries are kept: outside the checkout, so that a fresh clone finds them."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "claude-hooks-otel" / "rig"


def binary(name: str) -> Path:
    """The program, built now if it is not in the cache.

    Raises:
        UnavailableError: there is no Go toolchain, or it is older than the modules ask for.
        subprocess.CalledProcessError: the build failed.
    """
    command = COMMANDS[name]
    source = FOLDER / command.module
    key = hashlib.sha256()
    for path in sorted(source.iterdir()):
        key.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    key.update(command.tags.encode())
    folder = cache() / f"{command.module}-{key.hexdigest()[:16]}"
    built = folder / name
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("no Go toolchain: the real Collector and Prometheus are built from their Go modules")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once build once
        if not built.exists():
            _build(go, command, source, built)
    return built


def _build(go: str, command: Command, source: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    # The toolchain that is there, and no other: fetching one is not a build's business.
    environ = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
    arguments = [go, "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(partial)]
    if command.tags:
        arguments += ["-tags", command.tags]
    done = subprocess.run(
        [*arguments, command.package], cwd=source, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        if "go.mod requires go >=" in done.stderr:
            raise UnavailableError(f"the Go toolchain is too old: {done.stderr.strip().splitlines()[-1]}")
        sys.stderr.write(done.stderr)
        done.check_returncode()
    partial.replace(target)


def main() -> int:
    """Builds everything that is missing and says how long each took."""
    for name in COMMANDS:
        began = time.monotonic()
        try:
            path = binary(name)
        except UnavailableError as error:
            print(f"{name}: {error}")
            return 1
        print(f"{name}: {path} ({time.monotonic() - began:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
