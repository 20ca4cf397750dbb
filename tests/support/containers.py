"""Images and containers without a registry: buildah builds them from a Debian that debootstrap has made, and runs them in a chroot.

Containers share the network of the process that starts them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.places import ROOT

# The Debian of the base image, in the checkout's cache.
ROOTFS = ROOT / ".cache" / "debian-bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = "/etc/ssl/certs"
# The environment of buildah: a chroot needs no runtime.
ISOLATED = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
# Seconds that a step of a build may take.
TIMEOUT = 600


def missing() -> str | None:
    """Return why there are no containers here; None if there are."""
    if os.geteuid() != 0:
        return "only root can build an image here"
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


@dataclass(frozen=True)
class Images:
    """A store of images.

    Attributes:
        folder: where they are.
    """

    folder: Path

    def base(self) -> str:
        """Make the base image: a Debian with Python. Return its name."""
        if not (ROOTFS / "usr" / "bin" / "python3").exists():
            partial = ROOTFS.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(partial), MIRROR]
            subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT)
            partial.rename(ROOTFS)
        container = self._buildah("from", "scratch")
        self._buildah("add", container, str(ROOTFS), "/")
        self._buildah("commit", container, "localhost/base")
        self._buildah("rm", container)
        return "localhost/base"

    def build(self, dockerfile: str, tag: str, context: Path = ROOT, **arguments: str) -> None:
        """Build an image of ``deploy/docker``."""
        file = ROOT / "deploy" / "docker" / dockerfile
        ignored = file.with_name(f"{file.name}.dockerignore")
        options = ["--ignorefile", str(ignored)] if ignored.exists() else []
        options += [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
        mounted = f"{CERTIFICATES}:{CERTIFICATES}:ro"
        self._buildah("bud", "-f", str(file), "--format", "docker", "-v", mounted, "-t", tag, *options, str(context))

    def container(self, image: str) -> str:
        """Make a container of an image. Return its name."""
        name = self._buildah("from", "--pull-never", image)
        for volume in self.configuration(image).get("Volumes") or ():
            self._buildah("config", "--volume", f"{volume}-", name)  # here it could hide a folder that is mounted there
        return name

    def configuration(self, image: str) -> dict[str, Any]:
        """Return the configuration of an image."""
        configuration: dict[str, Any] = json.loads(self._buildah("inspect", "--type", "image", image))["Docker"][
            "config"
        ]
        return configuration

    def command(
        self,
        container: str,
        program: Sequence[str],
        *,
        volumes: Mapping[Path, str],
        environ: Mapping[str, str],
        user: str = "1000:1000",
    ) -> list[str]:
        """Return the command that runs a program in a container."""
        options = [option for host, inside in volumes.items() for option in ("-v", f"{host}:{inside}")]
        options += [option for name, value in environ.items() for option in ("--env", f"{name}={value}")]
        return [*self._command, "run", "--user", user, *options, container, "--", *program]

    def run(
        self,
        container: str,
        program: Sequence[str],
        *,
        volumes: Mapping[Path, str] | None = None,
        environ: Mapping[str, str] | None = None,
        user: str = "1000:1000",
        timeout: float = 90,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a container until it ends."""
        command = self.command(container, program, volumes=volumes or {}, environ=environ or {}, user=user)
        return subprocess.run(command, env=ISOLATED, capture_output=True, text=True, check=False, timeout=timeout)

    @property
    def _command(self) -> list[str]:
        return [
            "buildah", "--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"),
            "--storage-driver", "vfs",
        ]  # fmt: skip

    def _buildah(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=ISOLATED, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
        if done.returncode:
            raise RuntimeError(f"buildah {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()
