"""The test runs in a Bash call. The command line shows the runner, the output has the counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from claude_hooks_otel.tool_effects.git_commands import is_utility
from claude_hooks_otel.tool_effects.shell import SimpleCommand, simple_commands, word_set
from claude_hooks_otel.tool_effects.suite_outputs import READERS, Summary, coverage_totals

# How much of the end of the output is read. Summaries are at the end. The client reports 30,000 characters of each stream.
MAX_OUTPUT_CHARACTERS = 100_000

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# What can come before a runner's name: "uv run pytest", "npx jest", "bundle exec rspec".
_LAUNCHERS = tuple(
    tuple(launcher.split())
    for launcher in (
        "uv run", "poetry run", "pipenv run", "pdm run", "hatch run", "rye run", "pixi run", "pipx run", "uvx",
        "npx", "bunx", "pnpx", "npm exec", "pnpm exec", "pnpm dlx", "yarn dlx", "yarn exec",
        "bundle exec", "php", "node", "tsx", "ruby",
    )
)  # fmt: skip
_LAUNCHER_VALUE_OPTIONS = word_set("--with --python -p --package --project --directory --extra --group -d")
_SCRIPT_LAUNCHERS = word_set("yarn pnpm bun")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?|py")
_PROGRAMS = {
    "pytest": "pytest", "py.test": "pytest", "jest": "jest", "jest.js": "jest", "vitest": "vitest", "vitest.mjs": "vitest",
    "gotestsum": "go", "rspec": "rspec", "phpunit": "phpunit", "phpunit.phar": "phpunit",
}  # fmt: skip
_MODULES = frozenset({"pytest", "unittest"})
# Programs that run tests if one of these words follows.
_MAVEN = "maven", re.compile(r"(?:integration-)?test|package|verify|install|deploy|surefire:test|failsafe:.*")
_GRADLE = "gradle", re.compile(r"(?:\S*:)?(?:\w*[tT]est\w*|check|build)")
_BUILD_TOOLS = {
    "go": ("go", re.compile(r"test")),
    "cargo": ("cargo", re.compile(r"test|t|nextest|llvm-cov|tarpaulin")),
    "dotnet": ("dotnet", re.compile(r"test|vstest")),
    **dict.fromkeys(("mvn", "mvnw", "mvnd"), _MAVEN),
    **dict.fromkeys(("gradle", "gradlew"), _GRADLE),
}
# Build tools that take several goals. A build may have no tests, so without a summary there is no test run.
_BUILDS = frozenset({"maven", "gradle"})
# With these options, a runner only shows something or only builds.
_NO_RUN = word_set(
    "--help -h --version --collect-only --co --fixtures --markers --setup-plan --listTests --showConfig --init --no-run --list "
    "--list-tests -list"
)
_NO_RUN_OF = {"go": word_set("-c"), "vitest": word_set("list init")}
_NOT_STARTED = frozenset({126, 127})  # the shell did not find the program, or may not run it


class SuiteOutcome(StrEnum):
    """How a run of a test suite ended."""

    PASSED = "passed"
    FAILED = "failed"  # a test failed
    ERROR = "error"  # no test failed, but something could not run


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One run of a test suite.

    Attributes:
        framework: a key of `READERS`.
        outcome: how the run ended.
        passed: tests that passed. ``go test`` without ``-v`` and Gradle do not count them.
        failed: tests that failed.
        skipped: tests that were skipped, pending, to be written, ignored, or expected to fail.
        errors: tests, files or packages that could not run.
        coverage_percent: the share of lines (statements) that ran; None if the output has no total.
    """

    framework: str
    outcome: SuiteOutcome
    passed: int
    failed: int
    skipped: int
    errors: int
    coverage_percent: float | None


def suite_runs(command: str, output: str, exit_code: int | None) -> list[SuiteRun]:
    """Return the test runs of a finished Bash call, in the order of their summaries.

    A summary can be missing, because the output went elsewhere, was cut, or ended early. Then the run counts without numbers if the
    exit code shows how it ended. A framework inside another program (``npm test``, ``make``) is recognized by its summary.

    Args:
        command: the command line.
        output: the output on both streams.
        exit_code: the line's status; None if it is unknown.
    """
    commands = simple_commands(command)
    runners = [(each, framework) for each in commands if (framework := _framework(each)) is not None]
    text = _ANSI.sub("", output[-MAX_OUTPUT_CHARACTERS:]).replace("\r\n", "\n")
    frameworks = READERS if any(map(_is_indirect, commands)) else dict.fromkeys(framework for _, framework in runners)
    found = sorted(
        ((summary, framework) for framework in frameworks for summary in READERS[framework](text)),
        key=lambda pair: pair[0].end,
    )
    if not found:
        return _without_summary(commands, runners, exit_code)
    coverage = _coverage(text, [summary for summary, _ in found])
    return [
        SuiteRun(framework, _outcome(each), each.passed, each.failed, each.skipped, each.errors, percent)
        for (each, framework), percent in zip(found, coverage, strict=True)
    ]


def _outcome(run: Summary) -> SuiteOutcome:
    if run.failed:
        return SuiteOutcome.FAILED
    nothing_ran = run.empty_fails and not run.passed + run.skipped
    return SuiteOutcome.ERROR if run.errors or nothing_ran else SuiteOutcome.PASSED


def _coverage(text: str, summaries: Sequence[Summary]) -> list[float | None]:
    """Return the coverage of each run. A total comes before the summary of its run, or after the last summary."""
    found: list[float | None] = [None] * len(summaries)
    for place, percent in coverage_totals(text):
        at = next((at for at, summary in enumerate(summaries) if place < summary.end), len(summaries) - 1)
        found[at] = percent
    return found


def _without_summary(
    commands: Sequence[SimpleCommand], runners: Sequence[tuple[SimpleCommand, str]], exit_code: int | None
) -> list[SuiteRun]:
    """Return the test run of a line without a summary, if the line's exit code is the runner's."""
    if exit_code is None or exit_code in _NOT_STARTED or len(runners) != 1 or runners[0][1] in _BUILDS:
        return []
    runner, framework = runners[0]
    alone = all(each is runner or is_utility(each) for each in commands)
    if not runner.decisive or (exit_code != 0 and not alone):
        return []
    return [SuiteRun(framework, SuiteOutcome.ERROR if exit_code else SuiteOutcome.PASSED, 0, 0, 0, 0, None)]


def _framework(command: SimpleCommand) -> str | None:
    """Return the framework whose tests a command runs; None if it runs none."""
    words = _without_launchers(command.argv)
    if not words:
        return None
    program, arguments = re.split(r"[/\\]", words[0])[-1], words[1:]
    framework = _PROGRAMS.get(program)
    if _PYTHON.fullmatch(program) or program in {"coverage", "coverage3"}:
        option = next((at for at, word in enumerate(words) if re.fullmatch(r"-[A-Za-z]*m", word)), None)
        if option is not None:
            module, arguments = words[option + 1 :][:1], words[option + 2 :]
            if module == ("coverage",) and _PYTHON.fullmatch(program):
                return _framework(SimpleCommand(module + arguments))
            framework = next((name for name in module if name in _MODULES), None)
        if framework is None and any(word.endswith("manage.py") for word in words) and "test" in words:
            framework = "unittest"  # Django
    elif (tool := _BUILD_TOOLS.get(program)) is not None:
        name, pattern = tool
        goals = [word for word in arguments if not word.startswith(("-", "+"))]
        chosen = goals if name in _BUILDS else goals[:1]
        framework = name if any(map(pattern.fullmatch, chosen)) else None
    if framework is None or not (_NO_RUN | _NO_RUN_OF.get(framework, _NO_RUN)).isdisjoint(arguments):
        return None
    return framework


def _without_launchers(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the words without launchers before the runner."""
    words = tuple(argv)
    while launcher := next((each for each in _LAUNCHERS if words[: len(each)] == each), ()):
        words = words[len(launcher) :]
        while words and words[0].startswith("-"):
            words = words[2 if words[0] in _LAUNCHER_VALUE_OPTIONS else 1 :]
    if len(words) > 1 and words[0] in _SCRIPT_LAUNCHERS and words[1] in _PROGRAMS:
        words = words[1:]
    return words


def _is_indirect(command: SimpleCommand) -> bool:
    """Return whether a command may run tests through an unknown program: a script, make, npm, a container."""
    return _framework(command) is None and command.program not in {"git", "gh", "glab"} and not is_utility(command)
