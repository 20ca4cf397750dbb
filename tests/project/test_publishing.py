"""Everything that a release needs is in place: one version, a changelog, packages that install, workflows without stored secrets.

The tests with the marker ``package`` build and install what would be published. Nothing is uploaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_hooks_otel import __version__
from tests.support.places import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
MANIFEST = ROOT / ".claude-plugin" / "plugin.json"


def release_notes() -> Any:
    spec = importlib.util.spec_from_file_location("release_notes", ROOT / ".ci" / "release_notes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def workflow(name: str) -> Any:
    return yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


# -- version and changelog -----------------------------------------------------------------------------------------------------


def test_the_version_stands_in_one_file() -> None:
    version = json.loads(MANIFEST.read_text(encoding="utf-8"))["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert version == __version__
    for file in (ROOT / "pyproject.toml", ROOT / "monitoring" / "python-sdk" / "pyproject.toml"):
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
        assert settings["project"]["dynamic"] == ["version"]
        assert (file.parent / settings["tool"]["hatch"]["version"]["path"]).resolve() == MANIFEST
    assert version not in (ROOT / "claude_hooks_otel" / "__init__.py").read_text(encoding="utf-8")


def test_the_changelog_begins_with_what_is_unreleased_or_with_this_version() -> None:
    first = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first
    assert first[1] == "Unreleased" or first[1].startswith(f"{__version__} - ")


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    changelog = "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-11-28\n\n- New.\n\n## 1.2.2 - 2026-01-01\n\n- Old.\n"
    section = release_notes().section
    assert section(changelog, "1.2.3") == "- New.\n"
    for version in ("1.2", "1.2.4", "1x2.3"):
        with pytest.raises(LookupError, match="has no section"):
            section(changelog, version)


def test_a_tag_of_another_version_is_refused() -> None:
    with pytest.raises(LookupError, match="does not name the version"):
        release_notes().main(["v999.0.0"])


# -- workflows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in WORKFLOWS.iterdir()))
def test_a_workflow_stores_no_secret_and_gives_no_right_by_default(name: str) -> None:
    text = (WORKFLOWS / name).read_text(encoding="utf-8")
    assert "secrets." not in text
    assert workflow(name)["permissions"] in ({}, {"contents": "read"})
    for step in steps(name):
        assert "uses" not in step or re.fullmatch(r"[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", step["uses"])
        assert "${{ github.event" not in step.get("run", ""), "a name from outside must not become a part of a command"


def test_only_signing_and_publishing_get_an_identity() -> None:
    jobs = workflow("release.yml")["jobs"]
    with_identity = {name for name, job in jobs.items() if job["permissions"].get("id-token") == "write"}
    assert with_identity == {"attest", "publish"}
    assert all("checkout" not in step.get("uses", "") for name in with_identity for step in jobs[name]["steps"])
    assert {name for name, job in jobs.items() if job["permissions"].get("contents") == "write"} == {"announce"}


def test_a_release_is_checked_signed_and_only_then_published() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert [jobs[name].get("needs") for name in ("build", "attest", "publish", "announce")] == [
        None, "build", "attest", "publish",
    ]  # fmt: skip
    used = [step.get("uses", "").partition("@")[0] for step in steps("release.yml")]
    assert used.count("actions/attest-build-provenance") == used.count("actions/attest-sbom") == 1
    [publish] = [step for step in steps("release.yml") if "pypi-publish" in step.get("uses", "")]
    assert publish["with"] == {"attestations": True}
    assert jobs["publish"]["environment"] == "pypi"
    assert workflow("release.yml")[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads "on" as a truth value


def test_workflows_run_sessions_that_exist() -> None:
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE))
    for name in ("checks.yml", "release.yml"):
        for step in steps(name):
            if command := re.match(r"nox -s ([\w ]+)", step.get("run", "")):
                assert set(command[1].split()) <= sessions
    assert re.search(r"--sessions .*\bpackage\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))


# -- packages ------------------------------------------------------------------------------------------------------------------


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed: run nox -s package")


def run(*command: str | Path, cwd: Path | None = None, **environ: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: Path, kind: str) -> Path:
    run(
        sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source, SOURCE_DATE_EPOCH="1764201600"
    )
    [made] = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.mark.package
def test_the_metadata_of_both_packages_is_valid(wheel: Path, sdist: Path) -> None:
    for file in (wheel, sdist):
        assert "PASSED" in run(tool("twine"), "check", "--strict", file, NO_COLOR="1")
        assert __version__ in file.name


@pytest.mark.package
def test_the_wheel_from_the_sdist_is_the_wheel_from_the_checkout(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = (path for path in tmp_path.iterdir() if path.is_dir())
    again = build(source, tmp_path / "again", "wheel")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


@pytest.mark.package
def test_the_packages_hold_no_file_of_a_machine(wheel: Path, sdist: Path) -> None:
    tracked = set(run("git", "ls-files", cwd=ROOT).splitlines())
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names - tracked == {"PKG-INFO"}
    with zipfile.ZipFile(wheel) as content:
        assert {name.partition("/")[0] for name in content.namelist()} == {
            "claude_hooks_otel", "claude_monitoring", f"claude_hooks_otel-{__version__}.dist-info",
            f"claude_hooks_otel-{__version__}.data",
        }  # fmt: skip
        shared = [name for name in content.namelist() if ".data/" in name]
        assert shared == [f"claude_hooks_otel-{__version__}.data/data/share/claude-hooks-otel/emit"]
        assert "claude_hooks_otel/settings/backends.toml" in content.namelist()


def index() -> dict[str, str]:
    """Return variables with which uv uses the same package index and certificates as pip here."""
    found: dict[str, str] = {}
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        value = value.strip("'")
        if name.endswith("index-url") and "extra" not in name:
            found["UV_DEFAULT_INDEX"] = value
        if name.endswith("cert"):
            found["SSL_CERT_FILE"] = value
    return found


@pytest.mark.package
@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", ["uv", "pipx"])
def test_the_wheel_runs_without_an_installation(wheel: Path, tmp_path: Path, program: str) -> None:
    """``uvx`` is ``uv tool run``. Both make an environment of their own, in which the command has to work."""
    if program == "uv":
        command = [tool("uv"), "tool", "run", "--python", sys.executable, "--from", str(wheel)]
    else:
        command = [tool("pipx"), "run", "--python", sys.executable, "--spec", str(wheel)]
    environ = {
        "HOME": str(tmp_path),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "UV_TOOL_DIR": str(tmp_path / "uv"),
    } | index()
    answer = run(*command, "claude-hooks-otel", "--version", cwd=tmp_path, **environ)
    assert answer.strip().endswith(__version__)
    run(*command, "claude-hooks-otel", "install", cwd=tmp_path, **environ)
    emit = tmp_path / ".local" / "state" / "claude-hooks-otel" / "emit"
    assert emit.read_bytes() == (ROOT / "hooks" / "emit").read_bytes()


@pytest.mark.package
@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", ["uv", "pipx"])
def test_the_wheel_installs_as_a_tool(wheel: Path, tmp_path: Path, program: str) -> None:
    places = {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    places |= {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    command = [tool("uv"), "tool", "install"] if program == "uv" else [tool("pipx"), "install"]
    run(*command, "--python", sys.executable, wheel, cwd=tmp_path, **places, **index())
    assert run(tmp_path / "bin" / "claude-hooks-otel", "--version").strip().endswith(__version__)


@pytest.mark.package
def test_the_bill_of_materials_names_every_shipped_package(tmp_path: Path) -> None:
    pins = run(sys.executable, "-m", "tests.support.dependencies", cwd=ROOT)
    (tmp_path / "shipped.txt").write_text(pins)
    file = tmp_path / "sbom.json"
    run(tool("cyclonedx-py"), "requirements", tmp_path / "shipped.txt", "--of", "JSON", "-o", file)
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {f"{part['name']}=={part['version']}" for part in bill["components"]} == set(pins.split())
