"""The summaries that test frameworks print. Each framework has a reader in `READERS`.

A reader gets the whole output without colors and returns every summary in it, with the position of its end. Source: recorded outputs of
the tools (``tests/data/suite_runs``). The formats of Gradle and .NET come from their source code and from their users' outputs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

from claude_hooks_otel.tool_effects import suite_tap as tap
from claude_hooks_otel.tool_effects.suite_counts import (
    Reader,
    Summary,
    both,
    by_verdict,
    counted,
    each,
    first,
    summary,
    together,
)

# In each pattern, the group "counts" has the counts. The group "none" matches if a run without any test is an error.
_PYTEST = re.compile(
    r"(?m)^(?:=+ )?(?=.*?\b(?:\d+ (?:x?passed|x?failed|skipped|errors?|deselected|warnings?)|no tests ran)\b)"
    r"(?P<counts>\d+ [a-z]+(?: [a-z]+)?(?:, \d+ [a-z]+(?: [a-z]+)?)*|(?P<none>no tests ran))"
    r" in [\d.]+s(?: \([\d:]+(?:, [^)]*)?\))?(?: =+)?\s*$"
)
_UNITTEST = re.compile(
    r"(?m)^Ran (?P<counts>\d+ tests? in [\d.]+s\s+^(?:OK|FAILED|(?P<none>NO TESTS RAN))(?: \([^)]*\))?)\s*?$"
)
_JEST = re.compile(
    r"(?ms)^Test Suites: (?P<suites>[^\n]*?) total$.{0,2000}?^Tests: (?P<counts>[^\n]*?) total$|^(?P<none>No tests found, exiting with code 1)"
)
_JEST_BROKEN_SUITE = re.compile(r"(?m)^[ \t]*● Test suite failed to run")
_VITEST = re.compile(
    r"(?m)^ *Test Files +.*\n *Tests +(?P<counts>.*?)(?: \(\d+\))?\n(?: *Type Errors .*\n)?(?: *Errors +(?P<errors>\d+) errors?)?"
    r"|^(?P<none>No test files found, exiting with code 1)"
)
_VITEST_BROKEN_FILES = re.compile(r"⎯ Failed Suites (\d+) ⎯")
_GO_PACKAGE = re.compile(
    r"(?m)^(?P<verdict>ok  |FAIL)\t\S+(?:\t(?:[\d.]+s|\(cached\)).*| \[(?P<broken>build|setup) failed\])$"
)
_GO_TEST = re.compile(r"(?m)^--- (?P<verdict>PASS|FAIL|SKIP): \S+ \([\d.]+s\)$")
GO_BENCHMARK = re.compile(r"(?m)^Benchmark\S*\s+\d+\s+[\d.]+ ns/op")
_GOTESTSUM = re.compile(r"(?m)^DONE (?:\d+ runs?, )?(?P<counts>\d+ tests?(?:, \d+ \w+)*) in [\d.]+s$")
_GOTESTSUM_PACKAGE = re.compile(r"(?m)^=== FAIL: \S+ {2}\(")
_CARGO = re.compile(
    r"(?m)^test result: \w+\. (?P<counts>\d+ passed; \d+ failed; \d+ ignored;)(?: \d+ measured; \d+ filtered out)?.*$"
)
# A build that fails, or a test that ends its process.
_CARGO_ERROR = re.compile(
    r"(?m)^error: could not compile .*$|^error: test failed, to rerun pass .*\n\nCaused by:\n  process didn't exit .*$"
)
_NEXTEST = re.compile(
    r"(?m)^[ \t]*Summary \[\s*[\d.]+s\]\s+(?:\d+/)?\d+ tests? run: (?P<counts>.*)$(?P<none>\nerror: no tests to run$)?"
)
_MOCHA = re.compile(r"(?m)^  (?P<counts>\d+ passing \(\d+(?:ms|[smhd])\)(?:\n  \d+ (?:pending|failing))*)$")
_PLAYWRIGHT_HEAD = re.compile(r"(?m)^Running \d+ tests? using \d+ workers?\b.*$")
_PLAYWRIGHT_COUNT = re.compile(
    r"(?m)^  (?P<count>\d+) (?P<what>passed|flaky|failed|skipped|did not run|interrupted|errors?(?= w))"
    r"(?: \([\d.]+(?:ms|[smhd])\)| w.*)?$"
)
_BUN = re.compile(
    r"(?m)^(?: ?(?P<counts>\d+ (?:pass|skip|todo|fail)\n(?: *\d+ .*\n){0,9}))?"
    r"Ran (?P<ran>\d+) tests? across \d+ files?\. \[[\d.]+m?s\](?:\nBailed out after (?P<failed>\d+) failures?)?$"
)
_MIX_COUNTS = r"(?P<counts>(?:\d+ [a-z]+, )*\d+ failures?(?:, \d+ [a-z]+)*)"
_MIX = re.compile(
    r"(?m)^Finished in [\d.]+ seconds \([\d.]+s async, [\d.]+s sync\)\n(?:\nTop \d+ slowest .*\n(?:.*\n){1,60}?)?"
    rf"{_MIX_COUNTS}$|^Finished in [\d.]+ seconds\n{_MIX_COUNTS.replace('counts', 'old')}\n\nRandomized with seed \d+$"
)
_CTEST = re.compile(
    r"(?m)^\d+% tests passed, (?P<failed>\d+) tests? failed out of (?P<ran>\d+)$"
    r"|^No tests were found!!!$(?P<none>\nErrors while running CTest$)?"
)
_CTEST_HEAD = re.compile(r"(?m)^Test project /")
_CTEST_NOT_RUN = re.compile(r"(?m)^[ \t]+\d+ - .* \((?P<why>Skipped|Disabled)\)$")
_BATS = re.compile(r"(?m)^(?P<counts>\d+ tests?, \d+ failures?(?:, \d+ (?:skipped|not run))*)(?: in .*)?$")
_MAVEN_COUNTS = r"^(?:\[\w+\]\s+)?(?P<counts>Tests run: \d+, Failures: \d+, Errors: \d+, Skipped: \d+)"
_MAVEN = re.compile(rf"(?m){_MAVEN_COUNTS}$")
_MAVEN_CLASS = re.compile(rf"(?m){_MAVEN_COUNTS},? .*$")
_MAVEN_ERROR = re.compile(r"(?m)^\[ERROR\] COMPILATION ERROR.*$")
_GRADLE = re.compile(r"(?m)^(?P<counts>\d+ tests? completed(?:, \d+ (?:failed|skipped))*)\s*$")
_GRADLE_TEST = re.compile(r"(?m)^(?P<name>\S.*) (?P<verdict>PASSED|FAILED|SKIPPED)$")
_RSPEC = re.compile(
    r"(?m)^(?P<counts>\d+ examples?, \d+ failures?(?:, \d+ pending)?(?:, \d+ errors? occurred outside of examples)?)"
)
_PHPUNIT = re.compile(r"(?m)^(?P<counts>OK \(\d+ tests?, \d+ assertions?\)|Tests: \d+, .*\.$)|^No tests executed!")
_DOTNET = re.compile(r"(?m)^[ \t]*Test summary: (?P<counts>total: \d+, failed: \d+, succeeded: \d+, skipped: \d+)")
_DOTNET_ASSEMBLY = re.compile(
    r"(?m)^[ \t]*(?:Passed|Failed|Skipped)!\s+- (?P<counts>Failed:\s+\d+, Passed:\s+\d+, Skipped:\s+\d+), Total:\s+\d+"
)
_DOTNET_LONG = re.compile(r"(?m)^Total tests: \d+(?P<counts>(?:\n\s+(?:Passed|Failed|Skipped): \d+)*)")
_DOTNET_ERROR = re.compile(r"(?m)^Build FAILED\.|: error [A-Z]+\d+: ")

# The total of a coverage tool, in percent of the lines (statements) that ran: coverage.py, Istanbul (column "% Lines"),
# go tool cover, SimpleCov, PHPUnit, cargo llvm-cov (column "Lines … Cover") and tarpaulin.
_COVERAGE = re.compile(
    r"(?m)^TOTAL(?: +\d+){2,4} +(?P<coverage_py>\d+\.?\d*)%\s*$"
    r"|^All files +\|(?: +[\d.]+ +\|){3} +(?P<istanbul>\d+\.?\d*) +\|"
    r"|^total:\s+\(statements\)\s+(?P<go_tool>\d+\.?\d*)%"
    r"|^(?:Line Coverage: |Coverage report generated .* LOC \()(?P<simplecov>\d+\.?\d*)%"
    r"|^ +Lines: +(?P<phpunit>\d+\.?\d*)% \("
    r"|^TOTAL +\d+ +\d+ +[\d.]+% +\d+ +\d+ +[\d.]+% +\d+ +\d+ +(?P<llvm_cov>\d+\.?\d*)%"
    r"|^(?P<tarpaulin>\d+\.?\d*)% coverage, \d+/\d+ lines covered"
)
_GO_COVERAGE = re.compile(r"(?m)^ok\s+\S+\s.*coverage: (?P<percent>\d+\.?\d*)% of statements")


def coverage_totals(output: str) -> list[tuple[int, float]]:
    """Return the position and value of each coverage total in an output. Go prints one for each package: several are no total."""
    totals = list(_COVERAGE.finditer(output))
    packages = list(_GO_COVERAGE.finditer(output))
    if len(packages) == 1 and not any(total["go_tool"] for total in totals):
        totals += packages
    return sorted((total.start(), float(next(filter(None, total.groups())))) for total in totals)


def jest_broken(match: re.Match[str], before: str) -> int:
    """Return how many files Jest could not run."""
    # Jest prints long failures twice.
    return min(len(_JEST_BROKEN_SUITE.findall(before)), counted([match["suites"]])["failed"])


def vitest_broken(match: re.Match[str], before: str) -> int:
    """Return how many files Vitest could not run, and errors outside of tests."""
    return sum(map(int, _VITEST_BROKEN_FILES.findall(before))) + int(match["errors"] or 0)


def _go(output: str) -> list[Summary]:
    """Read all packages of an output together. Passing tests are shown only with ``-v``. A subtest belongs to its test."""
    packages, tests = list(_GO_PACKAGE.finditer(output)), list(_GO_TEST.finditer(output))
    failed = [match for match in packages if match["verdict"] == "FAIL"]
    broken = sum(match["broken"] is not None for match in failed)
    verdicts = [match["verdict"] for match in tests]
    errors = broken or int(bool(failed) and "FAIL" not in verdicts)  # a panic fails a package, but none of its tests
    return [summary([*packages, *tests], by_verdict(verdicts), errors)] if packages or tests else []


def _gotestsum(output: str) -> list[Summary]:
    """Read the totals of gotestsum. It counts a package that does not build as a failure."""
    found, begin = [], 0
    for match in _GOTESTSUM.finditer(output):
        counts = counted([match["counts"]], errors_ran=False)
        broken = len(_GOTESTSUM_PACKAGE.findall(output, begin, match.start()))
        failed = min(max(0, counts["failed"] - broken), counts["ran"])
        errors = max(broken, int(counts["errors"] > 0))
        passed = max(0, counts["ran"] - failed - counts["skipped"])
        found.append(Summary(match.start(), match.end(), passed, failed, counts["skipped"], errors))
        begin = match.end()
    return found


def _go_json(output: str) -> list[Summary]:
    """Read the events of ``go test -json``, one object on each line. Source: ``go doc test2json``."""
    verdicts: list[str] = []
    package_failed = False
    events: list[re.Match[str]] = []
    for line in re.finditer(r"^\{.*\}$", output, re.MULTILINE):
        try:
            event = json.loads(line[0])
        except (ValueError, RecursionError):
            continue
        action, test = event.get("Action"), event.get("Test")
        if not {"Package", "Elapsed"} <= event.keys() or action not in ("pass", "fail", "skip"):
            continue
        events.append(line)
        if not isinstance(test, str):
            package_failed = package_failed or action == "fail"
        elif "/" not in test:
            verdicts.append(action)
    errors = int(package_failed and "fail" not in verdicts)
    return [summary(events, by_verdict(verdicts), errors)] if events else []


def _gradle(output: str) -> list[Summary]:
    """Read Gradle's own total, which it prints if a test failed, or the tests that a build logs by name."""
    totals = list(_GRADLE.finditer(output))
    tests = [match for match in _GRADLE_TEST.finditer(output) if " > " in match["name"]]
    verdicts = [match["verdict"] for match in tests]
    logged = not totals or "PASSED" in verdicts
    counts = by_verdict(verdicts) if logged else counted(match["counts"] for match in totals)
    return [summary([*totals, *tests], counts)] if totals or tests else []


def _playwright(output: str) -> list[Summary]:
    """Read the counts at the end of each Playwright run. A test that passes at its second try counts as passed."""
    heads = [match.start() for match in _PLAYWRIGHT_HEAD.finditer(output)] or [0]
    found = []
    for begin, end in pairwise([*heads, len(output)]):
        counts: Counter[str] = Counter()
        last = None
        for last in _PLAYWRIGHT_COUNT.finditer(output, begin, end):
            counts[last["what"].rstrip("s")] += int(last["count"])
        if last:
            passed, skipped = counts["passed"] + counts["flaky"], counts["skipped"] + counts["did not run"]
            errors = counts["interrupted"] + counts["error"]
            found.append(Summary(begin, last.end(), passed, counts["failed"], skipped, errors))
    return found


def _bun(output: str) -> list[Summary]:
    """Read the counts of ``bun test``. It counts a file that does not load as a failure and as an error."""
    found = []
    for match in _BUN.finditer(output):
        if not (match["counts"] or match["failed"]):
            continue
        counts = counted([match["counts"], f"{match['failed'] or 0} fail"])
        if "passed" not in counts:  # the line was cut off, or the run ended at a failure
            counts["passed"] = max(0, int(match["ran"]) - counts["failed"] - counts["skipped"])
        counts["failed"] = max(0, counts["failed"] - counts["errors"])
        found.append(summary([match], counts))
    return found


def _mix(output: str) -> list[Summary]:
    return [summary([match], counted([match["counts"] or match["old"]])) for match in _MIX.finditer(output)]


def _ctest(output: str) -> list[Summary]:
    """Read the totals of CTest, and the list of skipped tests after them. A disabled test is not among those that it counts."""
    found, begin = [], 0
    matches = list(_CTEST.finditer(output))
    ends = [match.start() for match in matches[1:]] + [len(output)]
    for match, end in zip(matches, ends, strict=False):
        why = [line["why"] for line in _CTEST_NOT_RUN.finditer(output, match.end(), end)]
        failed = int(match["failed"] or 0)
        passed = max(0, int(match["ran"] or 0) - failed - why.count("Skipped"))
        head = _CTEST_HEAD.search(output, begin, match.start()) or match
        nothing_ran = match["none"] is not None
        found.append(Summary(head.start(), match.end(), passed, failed, len(why), nothing_ran=nothing_ran))
        begin = match.end()
    return found


READERS: dict[str, Reader] = {
    "pytest": each(_PYTEST, empty_fails=True),
    "unittest": each(_UNITTEST),
    "jest": each(_JEST, jest_broken),
    "vitest": first(each(_VITEST, vitest_broken), tap.lines(nested=True)),
    "mocha": first(each(_MOCHA), tap.lines()),
    "playwright": _playwright,
    "bun": _bun,
    "node": tap.node,
    "tap": lambda output: [found for _, found in tap.complete(output)],
    "prove": tap.prove,
    "bats": first(each(_BATS), tap.lines()),
    "mix": _mix,
    "ctest": _ctest,
    "go": first(_gotestsum, _go_json, _go),
    "cargo": both(each(_NEXTEST), together(_CARGO, error=_CARGO_ERROR)),
    "maven": together(_MAVEN, _MAVEN_CLASS, error=_MAVEN_ERROR),
    "gradle": _gradle,
    "rspec": each(_RSPEC, errors_ran=False),
    "phpunit": each(_PHPUNIT),
    "dotnet": first(together(_DOTNET, _DOTNET_ASSEMBLY, _DOTNET_LONG), together(error=_DOTNET_ERROR)),
}
