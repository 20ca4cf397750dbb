"""Runs of test suites in a Bash call: the runner stands in the command line, the counts in its output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from claude_hooks_otel.tool_effects.git_commands import has_no_git
from claude_hooks_otel.tool_effects.shell import SimpleCommand, simple_commands
from claude_hooks_otel.tool_effects.suite_outputs import READERS, Outcome, Summary, coverage_totals

# The client hands on 30,000 characters of each stream; the summaries stand at the end.
MAX_OUTPUT_CHARACTERS = 100_000

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# What stands before a runner's name: "uv run pytest", "npx jest", "bundle exec rspec".
_LAUNCHERS = (
    *(
        ("uv", "run"),
        ("poetry", "run"),
        ("pipenv", "run"),
        ("pdm", "run"),
        ("hatch", "run"),
        ("rye", "run"),
        ("pixi", "run"),
    ),
    *(
        ("npx",),
        ("bunx",),
        ("pnpx",),
        ("npm", "exec"),
        ("pnpm", "exec"),
        ("pnpm", "dlx"),
        ("yarn", "dlx"),
        ("yarn", "exec"),
    ),
    *(("bundle", "exec"), ("uvx",), ("pipx", "run"), ("php",), ("node",), ("tsx",), ("ruby",)),
)
_LAUNCHER_VALUE_OPTIONS = frozenset(
    {"--with", "--python", "-p", "--package", "--project", "--directory", "--extra", "--group", "-d"}
)
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?|py")
_PROGRAMS = {
    "pytest": "pytest",
    "py.test": "pytest",
    "jest": "jest",
    "jest.js": "jest",
    "vitest": "vitest",
    "vitest.mjs": "vitest",
    "gotestsum": "go",
    "rspec": "rspec",
    "phpunit": "phpunit",
    "phpunit.phar": "phpunit",
}
_MODULES = {"pytest": "pytest", "unittest": "unittest"}
# Programs that run tests when told so by one of these words.
_MAVEN_GOALS = re.compile(r"(?:integration-)?test|package|verify|install|deploy|surefire:test|failsafe:.*")
_GRADLE_TASKS = re.compile(r"(?:\S*:)?(?:\w*[tT]est\w*|check|build)")
_BUILD_TOOLS = {
    "go": ("go", re.compile(r"test")),
    "cargo": ("cargo", re.compile(r"test|t|nextest|llvm-cov|tarpaulin")),
    "dotnet": ("dotnet", re.compile(r"test|vstest")),
    "mvn": ("maven", _MAVEN_GOALS),
    "mvnw": ("maven", _MAVEN_GOALS),
    "mvnd": ("maven", _MAVEN_GOALS),
    "gradle": ("gradle", _GRADLE_TASKS),
    "gradlew": ("gradle", _GRADLE_TASKS),
}
# A build may have no test at all: without a summary nothing was run, as far as anyone can tell.
_SILENT_BUILDS = frozenset({"maven", "gradle"})
# With these a runner only tells something, or only builds.
_NO_RUN = frozenset(
    {
        *(
            "--help",
            "-h",
            "--version",
            "--collect-only",
            "--co",
            "--fixtures",
            "--markers",
            "--setup-plan",
            "--listTests",
        ),
        *("--showConfig", "--init", "--no-run", "--list", "--list-tests", "-list"),
    }
)
_NO_RUN_OF = {"go": frozenset({"-c"}), "vitest": frozenset({"list", "init"})}
_NOT_STARTED = frozenset({126, 127})  # the shell found no such program, or one that it may not run


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One run of a test suite.

    Attributes:
        framework: pytest, unittest, jest, vitest, go, cargo, maven, gradle, rspec, phpunit or dotnet.
        outcome: failed with a failed test, error without one but with something that could not be run, else passed.
        passed: tests, as far as the output tells: ``go test`` without ``-v`` and Gradle do not count what passes.
        failed: tests.
        skipped: tests skipped, pending, to be written, ignored, or expected to fail.
        errors: tests, files or packages that could not be run.
        coverage_percent: the total of lines (statements) covered, where the output states one.
    """

    framework: str
    outcome: Outcome
    passed: int
    failed: int
    skipped: int
    errors: int
    coverage_percent: float | None


def suite_runs(command: str, output: str, exit_code: int | None) -> list[SuiteRun]:
    """The test runs of a finished Bash call, in the order of their summaries.

    A run whose summary is not in the output (sent elsewhere, cut off, or never reached) counts without numbers where the exit
    code tells of it. Frameworks that a line runs through another program (``npm test``, ``make``) are known by their summary.

    Args:
        command: the command line.
        output: what it printed, on both streams.
        exit_code: the line's status; None where it is not known.
    """
    commands = simple_commands(command)
    named = [framework for each in commands if (framework := _framework(each)) is not None]
    indirect = any(_is_indirect(each) for each in commands)
    if not named and not indirect:
        return []
    text = _ANSI.sub("", output[-MAX_OUTPUT_CHARACTERS:]).replace("\r\n", "\n")
    frameworks = READERS.keys() if indirect else dict.fromkeys(named)
    found = sorted(
        ((summary, framework) for framework in frameworks for summary in READERS[framework](text)),
        key=lambda pair: pair[0].end,
    )
    if not found:
        return _unseen(commands, exit_code)
    coverage = _coverage(text, [summary for summary, _ in found])
    return [
        SuiteRun(framework, each.outcome, each.passed, each.failed, each.skipped, each.errors, percent)
        for (each, framework), percent in zip(found, coverage, strict=True)
    ]


def _coverage(text: str, summaries: Sequence[Summary]) -> list[float | None]:
    """The coverage of each run: stated before its summary, or after the last one."""
    found: list[float | None] = [None] * len(summaries)
    for place, percent in coverage_totals(text):
        at = next((at for at, summary in enumerate(summaries) if place < summary.end), len(summaries) - 1)
        found[at] = percent
    return found


def _unseen(commands: Sequence[SimpleCommand], exit_code: int | None) -> list[SuiteRun]:
    """The run whose summary is not to be seen, if the line's exit code is its own."""
    runners = [(each, framework) for each in commands if (framework := _framework(each)) is not None]
    if exit_code is None or exit_code in _NOT_STARTED or len(runners) != 1 or runners[0][1] in _SILENT_BUILDS:
        return []
    runner, framework = runners[0]
    alone = all(each is runner or has_no_git(each) for each in commands)
    if not runner.decisive or (exit_code != 0 and not alone):
        return []
    return [SuiteRun(framework, "error" if exit_code else "passed", 0, 0, 0, 0, None)]


def _framework(command: SimpleCommand) -> str | None:
    """The framework whose tests a command runs, else None."""
    words = _without_launchers(command.argv)
    if not words:
        return None
    program = re.split(r"[/\\]", words[0])[-1]
    framework = _PROGRAMS.get(program)
    arguments = words[1:]
    if _PYTHON.fullmatch(program) or program in {"coverage", "coverage3"}:
        at = next((at for at, word in enumerate(words) if word == "-m" or re.fullmatch(r"-[A-Za-z]*m", word)), None)
        module = words[at + 1] if at is not None and at + 1 < len(words) else ""
        if _PYTHON.fullmatch(program) and module == "coverage" and at is not None:
            return _framework(SimpleCommand(words[at + 1 :]))
        framework = _MODULES.get(module)
        if framework is None and any(word.endswith("manage.py") for word in words) and "test" in words:
            framework = "unittest"  # Django
        arguments = words[at + 2 :] if at is not None else arguments
    elif (tool := _BUILD_TOOLS.get(program)) is not None:
        goals = [word for word in arguments if not word.startswith(("-", "+"))]
        chosen = goals if tool[0] in {"maven", "gradle"} else goals[:1]
        framework = tool[0] if any(tool[1].fullmatch(goal) for goal in chosen) else None
    if framework is None or not (_NO_RUN | _NO_RUN_OF.get(framework, _NO_RUN)).isdisjoint(arguments):
        return None
    return framework


def _without_launchers(argv: Sequence[str]) -> tuple[str, ...]:
    """``argv`` from the runner on."""
    words = tuple(argv)
    for _ in range(len(words)):
        launcher = next((each for each in _LAUNCHERS if tuple(words[: len(each)]) == each), None)
        if launcher is None:
            break
        rest = list(words[len(launcher) :])
        while rest and rest[0].startswith("-"):
            taken = 2 if rest[0] in _LAUNCHER_VALUE_OPTIONS else 1
            rest = rest[taken:]
        words = tuple(rest)
    if words[:1] in {("yarn",), ("pnpm",), ("bun",)} and words[1:2] and words[1] in _PROGRAMS:
        words = words[1:]
    return words


def _is_indirect(command: SimpleCommand) -> bool:
    """Whether a command may run tests through a program that is not known here: a script, make, npm, a container."""
    return _framework(command) is None and command.program not in {"git", "gh", "glab"} and not has_no_git(command)
