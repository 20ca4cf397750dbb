"""What users install: its licences are known and compatible, and a build gives the same bytes wherever it runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.dependencies import NAME, licence, pins, shipped
from tests.support.places import ROOT

PAGE = ROOT / "docs" / "dependencies.md"
# How packages that give no SPDX expression name their licence.
SPDX = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# They allow everyone to use the package in any program, under the conditions of Apache-2.0.
COMPATIBLE = {"MIT", "MIT-0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "PSF-2.0"}
# The driver of the optional exporter: imported as it is, and never a part of what this project distributes.
OPTIONAL = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}


def listed() -> dict[str, str]:
    return dict(re.findall(r"^\| `([\w.-]+)` \| ([^|]+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_dependency_has_a_compatible_licence_and_is_listed(name: str) -> None:
    declared = SPDX.get(licence(name), licence(name))
    choices = [set(choice.split(" AND ")) for choice in declared.split(" OR ")]
    assert any(choice <= COMPATIBLE for choice in choices) or OPTIONAL.get(name) == declared, declared
    assert listed().get(name) == declared


def test_every_dependency_is_pinned_for_development_and_ci() -> None:
    assert len(list(pins())) == len(shipped())


def build(source: Path, target: Path, umask: int) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1764201600"}
    subprocess.run(command, cwd=source, env=environ, umask=umask, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return wheel


def test_two_builds_of_the_wheel_have_the_same_bytes(tmp_path: Path) -> None:
    """In two folders, with other times and permissions of the files, as two people have them."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wheels = []
    for number, umask in enumerate((0o022, 0o077)):
        source = tmp_path / f"checkout-{number}"
        for name in files.rstrip("\0").split("\0"):
            if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, source / name)
                (source / name).chmod((0o777 if os.access(ROOT / name, os.X_OK) else 0o666) & ~umask)
                os.utime(source / name, (1_700_000_000 + number * 86_400,) * 2)
        wheels.append(build(source, tmp_path / f"wheel-{number}", umask))
    assert wheels[0].name == wheels[1].name
    assert wheels[0].name.startswith(NAME.replace("-", "_"))
    assert len({hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}) == 1
    with zipfile.ZipFile(wheels[0]) as content:
        assert "claude_hooks_otel/_hooks/emit" in content.namelist()
