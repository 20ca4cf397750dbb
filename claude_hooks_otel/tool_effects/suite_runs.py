"""The test runs in a Bash call. The command line shows the runner, the output has the counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from claude_hooks_otel.tool_effects.git_commands import is_utility
from claude_hooks_otel.tool_effects.shell import SimpleCommand, simple_commands
from claude_hooks_otel.tool_effects.suite_commands import BUILDS, framework, may_hide_runner
from claude_hooks_otel.tool_effects.suite_counts import Summary
from claude_hooks_otel.tool_effects.suite_outputs import READERS, coverage_totals
from claude_hooks_otel.tool_effects.suite_signatures import by_service, unmistakable

# How much of the end of the output is read. Summaries are at the end. The client reports 30,000 characters of each stream.
MAX_OUTPUT_CHARACTERS = 100_000

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

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
    exit code shows how it ended. Behind another program (``npm test``, ``make``) only a summary that no other program prints counts. A
    command that runs no tests has no run, whatever it prints.

    Args:
        command: the command line.
        output: the output on both streams.
        exit_code: the line's status; None if it is unknown.
    """
    commands = simple_commands(command)
    runners = [(each, name) for each in commands if (name := framework(each)) is not None]
    text = _ANSI.sub("", output[-MAX_OUTPUT_CHARACTERS:]).replace("\r\n", "\n")
    hidden = any(map(may_hide_runner, commands))
    if hidden:
        text = by_service(text)
    found = [(name, summary) for name in dict.fromkeys(name for _, name in runners) for summary in READERS[name](text)]
    if hidden:
        found = _with_hidden(found, text)
    if not found:
        return _without_summary(commands, runners, exit_code)
    found.sort(key=lambda pair: pair[1].end)
    coverage = _coverage(text, [summary for _, summary in found])
    return [
        SuiteRun(name, _outcome(each), each.passed, each.failed, each.skipped, each.errors, percent)
        for (name, each), percent in zip(found, coverage, strict=True)
    ]


def _with_hidden(named: list[tuple[str, Summary]], text: str) -> list[tuple[str, Summary]]:
    """Return the runs of named runners together with those that other programs of the line show."""
    names = {name for name, _ in named}
    hidden = [(name, each) for name, each in unmistakable(text) if name not in names]
    return named + [(name, each) for name, each in hidden if not any(_overlap(each, own) for _, own in named)]


def _overlap(one: Summary, other: Summary) -> bool:
    return one.start < other.end and other.start < one.end


def _outcome(run: Summary) -> SuiteOutcome:
    if run.failed:
        return SuiteOutcome.FAILED
    return SuiteOutcome.ERROR if run.errors or run.nothing_ran else SuiteOutcome.PASSED


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
    if exit_code is None or exit_code in _NOT_STARTED or len(runners) != 1 or runners[0][1] in BUILDS:
        return []
    runner, name = runners[0]
    alone = all(each is runner or is_utility(each) for each in commands)
    if not runner.decisive or (exit_code != 0 and not alone):
        return []
    return [SuiteRun(name, SuiteOutcome.ERROR if exit_code else SuiteOutcome.PASSED, 0, 0, 0, 0, None)]
