"""Runs the steps of ``action.yml`` as GitHub's runner does: expressions, conditions, the files for outputs and paths, and the log's commands."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.places import ROOT

_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
_COMMAND = re.compile(r"::([a-z-]+)[ :]")


@dataclass
class Job:
    """One use of the action in a job.

    Attributes:
        folder: the files of the runner.
        given: the inputs that the workflow sets.
        environ: the environment of the job.
        outputs: step's id → its outputs.
        codes: step's name → its exit code.
        log: what the steps printed.
    """

    folder: Path
    given: Mapping[str, str]
    environ: Mapping[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    log: str = ""

    def __post_init__(self) -> None:
        self.action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
        self.temporary = self.folder / "runner"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.summary = self.temporary / "summary.md"
        self.paths = self.temporary / "paths"

    def run(self, *names: str) -> None:
        """Run the steps with these names, or all. After a failure, only those that always run."""
        for step in self.action["runs"]["steps"]:
            if (not names or step["name"] in names) and self._is_wanted(step.get("if", "")):
                self._run(step)

    @property
    def results(self) -> dict[str, str]:
        """The outputs of the action."""
        return {name: self._text(output["value"]) for name, output in self.action["outputs"].items()}

    @property
    def commands(self) -> list[str]:
        """The commands in the log that the runner obeys."""
        return list(commands(self.log))

    def _run(self, step: Mapping[str, Any]) -> None:
        files = {name: self.temporary / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_ENV")}
        for file in files.values():
            file.write_text("")
        added = self.paths.read_text().split("\n")[:-1] if self.paths.exists() else []
        environ = {
            **self.environ,
            **{name: str(file) for name, file in files.items()},
            "GITHUB_PATH": str(self.paths),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temporary),
            "PATH": os.pathsep.join([*reversed(added), self.environ["PATH"]]),
            **{name: self._text(value) for name, value in step["env"].items()},
        }
        where = Path(self.environ["GITHUB_WORKSPACE"], self._text(step.get("working-directory", ".")))
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            shell, cwd=where, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        self.codes[step["name"]] = done.returncode
        self.log += done.stdout + done.stderr
        self.outputs[step.get("id", step["name"])] = dict(_outputs(files["GITHUB_OUTPUT"].read_text()))

    def _value(self, expression: str) -> str:
        where, _, name = expression.partition(".")
        if where == "inputs":
            return str(self.given.get(name, self.action["inputs"][name]["default"]))
        if expression == "github.action_path":
            return str(ROOT)
        step, output = re.fullmatch(r"steps\.([\w-]+)\.outputs\.([\w-]+)", expression).groups()  # type: ignore[union-attr]
        return self.outputs.get(step, {}).get(output, "")

    def _text(self, template: str) -> str:
        return _EXPRESSION.sub(lambda found: self._value(found[1]), template)

    def _is_wanted(self, condition: str) -> bool:
        parts = [part.strip() for part in condition.split("&&") if part.strip()]
        is_wanted = "always()" in parts or not any(self.codes.values())
        for part in parts:
            if part != "always()":
                expression, operator, value = re.fullmatch(r"(\S+) (==|!=) '(.*)'", part).groups()  # type: ignore[union-attr]
                is_wanted = is_wanted and (self._value(expression) == value) == (operator == "==")
        return is_wanted


def commands(log: str) -> Iterator[str]:
    """Yield the names of the commands in a log that the runner obeys. It obeys none between ``stop-commands`` and its token."""
    token = None
    for line in map(str.strip, log.splitlines()):
        if token is not None:
            token = None if line == f"::{token}::" else token
        elif found := _COMMAND.match(line):
            if found[1] == "stop-commands":
                token = line.rpartition("::")[2]
            else:
                yield found[1]


def _outputs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the outputs of a step: ``name=value`` lines, and values between a line ``name<<END`` and a line ``END``."""
    lines = iter(text.splitlines())
    for line in lines:
        if found := re.fullmatch(r"([\w-]+)<<(\S+)", line):
            yield found[1], "\n".join(iter(lines.__next__, found[2]))
        else:
            name, sign, value = line.partition("=")
            assert sign, line
            yield name, value
