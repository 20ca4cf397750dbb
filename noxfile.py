"""The checks of this project. ``nox -l`` lists them, ``nox -s lint tests`` runs some, ``.ci/run`` runs all.

Run ``nox`` from the virtual environment in which you installed the project: only ``versions`` makes environments of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import nox

PYTHON = Path(sys.executable)

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style, types and shell scripts."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    if shutil.which("shellcheck"):
        session.run("shellcheck", "-s", "sh", "hooks/emit", external=True)
        session.run("shellcheck", ".ci/run", *map(str, sorted(Path("deploy").rglob("*.sh"))), external=True)
    else:
        session.log("shellcheck is not installed: the shell scripts are not checked")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the tests that the README names, and print how much of the code they cover."""
    session.run("pytest", "-q", "--cov", "--cov-report=term:skip-covered", *session.posargs)


@nox.session(python=["3.13", "3.14"])
def versions(session: nox.Session) -> None:
    """Run the same tests on newer versions of Python. A version that is not installed is skipped."""
    session.install("-q", "-c", "constraints.txt", "-e", ".[dev]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def audit(session: nox.Session) -> None:
    """Look the dependencies up in the advisories of PyPI, with pip-audit. Skipped, with the reason, if they cannot be reached."""
    try:
        session.install("-q", "pip-audit>=2.9,<3")
    except nox.command.CommandFailed:
        session.skip("pip-audit cannot be installed")
    shipped = Path(session.create_tmp()) / "shipped.txt"
    pins = session.run(str(PYTHON), "-m", "tests.support.dependencies", silent=True, external=True)
    shipped.write_text(str(pins))
    report = session.run(
        "pip-audit", "--requirement", str(shipped), "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off",
        silent=True, success_codes=[0, 1],
    )  # fmt: skip
    text = str(report)
    if '"dependencies"' not in text:
        session.skip(f"the advisories cannot be reached: {text.strip().splitlines()[-1]}")
    found = json.loads(next(line for line in text.splitlines() if line.startswith("{")))["dependencies"]
    for dependency in found:
        for advisory in dependency.get("vulns", ()):
            session.log(
                f"{dependency['name']} {dependency['version']}: {advisory['id']}, fixed in {advisory['fix_versions']}"
            )
    unknown = [dependency for dependency in found if "skip_reason" in dependency]
    if len(unknown) == len(found):
        session.skip(f"PyPI's advisories cannot be reached from here. {unknown[0]['skip_reason']}")
    for dependency in unknown:
        session.log(f"not checked: {dependency['name']}: {dependency['skip_reason']}")
    session.log(f"{len(found) - len(unknown)} dependencies checked")
    if any(dependency.get("vulns") for dependency in found):
        session.error("a dependency has a known vulnerability")


@nox.session
def package(session: nox.Session) -> None:
    """Build the packages, check them and install them with uv and pipx. Nothing is uploaded. ``-- --keep FOLDER`` keeps them, with an SBOM."""
    session.install("-q", "twine>=6", "uv>=0.9", "pipx>=1.8", "cyclonedx-bom>=7,<8")
    tools = {"PATH": f"{session.bin}{os.pathsep}{os.environ['PATH']}"}
    python = str(PYTHON)
    session.run(python, "-m", "pytest", "-q", "-n", "0", "-m", "package", env=tools, external=True)
    if session.posargs[:1] != ["--keep"]:
        return
    folder = Path(session.posargs[1])
    session.run(python, "-m", "hatchling", "build", "-d", str(folder), external=True)
    shipped = Path(session.create_tmp()) / "shipped.txt"
    shipped.write_text(str(session.run(python, "-m", "tests.support.dependencies", silent=True, external=True)))
    session.run("cyclonedx-py", "requirements", str(shipped), "--of", "JSON", "-o", str(folder / "sbom.cdx.json"))


@nox.session(python=False)
def faults(session: nox.Session) -> None:
    """Kill daemons and hooks, fill disks, take endpoints away."""
    session.run("pytest", "-q", "-m", "(faults or slow) and not client and not stack and not web", *session.posargs)


@nox.session(python=False)
def web(session: nox.Session) -> None:
    """Look at the page in a real browser."""
    session.run("pytest", "-q", "-n", "2", "-m", "web", *session.posargs)


@nox.session(python=False)
def client(session: nox.Session) -> None:
    """Drive the real Claude Code client, offline, against a scripted API."""
    session.run("pytest", "-q", "-m", "client", "--timeout", "1200", *session.posargs)


@nox.session(python=False)
def stack(session: nox.Session) -> None:
    """Drive a real Collector and a real Prometheus. The first run builds them with Go, which takes some minutes."""
    session.run("python", "-m", "monitoring.rig.build")
    session.run("pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", "stack", "--timeout", "1200", *session.posargs)
