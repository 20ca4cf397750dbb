"""The Test Anything Protocol and the runners that print it: prove, bats, node's test runner.

A line of TAP (``ok 1 - adds``) looks like the output of many other programs. So `complete` asks for a whole report: a plan, all
numbers, and a line that only TAP and its libraries print.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from claude_hooks_otel.tool_effects.suite_counts import Reader, Summary

_LINE = re.compile(
    r"(?m)^(?P<indent> *)(?P<verdict>ok|not ok) (?P<number>\d+)\b(?P<rest>.*)$|^1\.\.(?P<plan>\d+)(?: #.*)?$"
)
_SKIPPED = re.compile(r"(?i)(?<!\\)# *(?:skip|todo)\b")
_IN_BATS = r"^(?:# |    )\((?:from function .* )?in test file \S+\.bats, line \d+\)$"
_BATS_MARK = re.compile(rf"(?m){_IN_BATS}")
# Lines that only TAP and its libraries print.
_MARK = re.compile(
    r"(?m)^TAP version 1[34]$|^#   Failed (?:\(TODO\) )?test '|^# Looks like you |^# tests \d+\n# pass +\d+\n"
    rf"|{_IN_BATS}"
)
_VERSION = re.compile(r"TAP version 1[34]\n\Z")
_PROVE = re.compile(r"(?m)^Files=\d+, Tests=(?P<ran>\d+), .*\nResult: (?P<result>PASS|FAIL|NOTESTS)$")
_PROVE_FILE = re.compile(
    r"(?m)^\S.{0,500}? \(Wstat: .{1,60} Tests: \d+ Failed: (?P<failed>\d+)\)$(?P<reasons>(?:\n  .*)*)",
)
_PROVE_SKIPPED = re.compile(r"\(less (\d+) skipped subtests?: ")
_NODE = re.compile(
    r"(?m)^(?:# |ℹ )tests (?P<ran>\d+)\n(?:(?:# |ℹ )suites \d+\n)?(?:# |ℹ )pass (?P<passed>\d+)\n(?:# |ℹ )fail (?P<failed>\d+)\n"
    r"(?:# |ℹ )cancelled (?P<cancelled>\d+)\n(?:# |ℹ )skipped (?P<skipped>\d+)\n(?:# |ℹ )todo (?P<todo>\d+)\n(?:# |ℹ )duration_ms [\d.]+"
)


def lines(*, nested: bool = False) -> Reader:
    """Return a reader of the TAP of a known runner. With ``nested``, the tests are in indented lines, too, below a line with ``{``."""

    def read(output: str) -> list[Summary]:
        found = [
            line
            for line in _LINE.finditer(output)
            if line["plan"] or nested or not line["indent"]
            if not (nested and (line["rest"] or "").endswith("{"))
        ]
        return [_report(found)] if found else []

    return read


def complete(output: str) -> list[tuple[str, Summary]]:
    """Return the whole reports in an output with their frameworks. Each has its plan, all its numbers, and a line that only TAP prints."""
    found = []
    reports = list(_reports(output))
    ends = [report[0].start() for report in reports[1:]] + [len(output)]
    for report, end in zip(reports, ends, strict=False):
        tests = [line for line in report if line["verdict"]]
        plans = [int(line["plan"]) for line in report if line["plan"]]
        begin = report[0].start()
        with_version = _VERSION.search(output, max(0, begin - 15), begin) is not None
        if plans == [len(tests)] and tests and (with_version or _MARK.search(output, begin, end)):
            framework = "bats" if _BATS_MARK.search(output, begin, end) else "tap"
            found.append((framework, _report(report)))
    return found


def _reports(output: str) -> Iterator[list[re.Match[str]]]:
    """Yield the lines of each report: tests from 1 without a gap, and the plan before or after them."""
    report: list[re.Match[str]] = []
    tests = 0
    for line in _LINE.finditer(output):
        if line["indent"]:
            continue
        planned = any(each["plan"] for each in report[:1])
        begins = (planned or not tests) if line["plan"] else int(line["number"]) != tests + 1
        if begins and report:
            yield report
            report, tests = [], 0
        report.append(line)
        tests += line["verdict"] is not None
        if line["plan"] and tests:  # the plan is the last line
            yield report
            report, tests = [], 0
    if report:
        yield report


def _report(found: Iterable[re.Match[str]]) -> Summary:
    tests = list(found)
    outcomes = [
        "skipped" if _SKIPPED.search(line["rest"]) else "passed" if line["verdict"] == "ok" else "failed"
        for line in tests
        if line["verdict"]
    ]
    passed, failed, skipped = map(outcomes.count, ("passed", "failed", "skipped"))
    return Summary(tests[0].start(), tests[-1].end(), passed, failed, skipped)


def prove(output: str) -> list[Summary]:
    """Read the totals of prove. A file that died, or printed no plan, is an error unless a test in it failed."""
    found, begin = [], 0
    for match in _PROVE.finditer(output):
        before = output[begin : match.start()]
        failed = errors = 0
        for file in _PROVE_FILE.finditer(before):
            failed += int(file["failed"])
            errors += file["failed"] == "0" and bool(re.search(r"Non-zero exit|Parse errors", file["reasons"]))
        if match["result"] == "FAIL" and not failed:
            errors = max(errors, 1)
        skipped = sum(map(int, _PROVE_SKIPPED.findall(before)))
        passed = max(0, int(match["ran"]) - failed - skipped)
        found.append(Summary(match.start(), match.end(), passed, failed, skipped, errors))
        begin = match.end()
    return found


def node(output: str) -> list[Summary]:
    """Read the totals of ``node --test``, in TAP or as text. A cancelled test is an error."""
    return [
        Summary(
            match.start(),
            match.end(),
            int(match["passed"]),
            int(match["failed"]),
            int(match["skipped"]) + int(match["todo"]),
            int(match["cancelled"]),
        )
        for match in _NODE.finditer(output)
    ]
