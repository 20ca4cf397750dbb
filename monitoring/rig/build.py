"""Build the real servers for the tests into a cache outside the checkout, once for each set of versions.

``python -m monitoring.rig.build`` builds all of them and prints their paths. The ``go.mod`` and ``go.sum`` files in the folders here
hold the versions and checksums. On two cores with an empty module cache, the Collector takes three to four minutes, Jaeger three, Prometheus
with promtool one and a half, and each of the others less than half a minute.
"""

from __future__ import annotations

import argparse
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
    """The servers cannot be built on this machine. The message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One program.

    Attributes:
        name: The program's name.
        module: The folder, next to this file, whose go.mod fixes the version.
        package: The Go package to build.
        tags: Go build tags.
    """

    name: str
    module: str
    package: str
    tags: str = ""


# Leave out service discovery: the shipped configuration uses static targets, and discovery is most of Prometheus's build.
_WITHOUT_CLOUDS = "remove_all_sd"
COMMANDS = {
    command.name: command
    for command in (
        Command("otelcol", "collector", "."),
        Command("prometheus", "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", _WITHOUT_CLOUDS),
        Command("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool", _WITHOUT_CLOUDS),
        Command("amtool", "prometheus", "github.com/prometheus/alertmanager/cmd/amtool"),
        Command("compose", "compose", "."),
        Command("kustomize", "kustomize", "."),
        Command("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
        Command("jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger"),
        Command("victoria-logs", "victorialogs", "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"),
        Command(
            "victoria-metrics", "victoriametrics", "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics"
        ),
        Command("vmalert", "victoriametrics", "github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert"),
    )
}


def cache() -> Path:
    """Return the folder of the built programs. It is outside the checkout, so that a fresh clone finds them."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "claude-hooks-otel" / "rig"


def binary(name: str) -> Path:
    """Return the path of a program. Build it first if it is not in the cache.

    Raises:
        UnavailableError: There is no Go toolchain, or it is older than the modules require.
        subprocess.CalledProcessError: The build fails.
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
        raise UnavailableError("no Go toolchain is installed: the tests build the real servers with Go")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at the same time build once
        if not built.exists():
            _build(go, command, source, built)
    return built


def _build(go: str, command: Command, source: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    # Use the installed toolchain. A build must not download another one.
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
    """Build every missing program, and print each path and the time that it took."""
    description = "Build the Collector, Prometheus and their tools for the tests, and print where they are."
    argparse.ArgumentParser(prog="python -m monitoring.rig.build", description=description).parse_args()
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
