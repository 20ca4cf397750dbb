"""The summaries that test frameworks print. Each framework has a reader in `READERS`.

A reader gets the whole output without colors and returns every summary in it, with the position of its end. Source: recorded outputs of
the tools (``tests/data/suite_runs``). The formats of Gradle and .NET come from their source code and from their users' outputs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run of a framework prints at its end.

    Attributes:
        end: the position of its end in the output.
        passed: tests that passed.
        failed: tests that failed.
        skipped: tests that were skipped, pending, to be written, ignored, or expected to fail.
        errors: tests, files or packages that could not run.
        empty_fails: whether a run without any test is an error.
    """

    end: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    empty_fails: bool = False


Reader = Callable[[str], list[Summary]]

# The words next to the counts. Expected failures count as skipped, as in the JUnit XML of pytest and unittest.
_MEANINGS = {
    "passed": ("passed", "xpassed", "succeeded", "pass"),
    "failed": ("failed", "failure", "failures", "unexpected successes", "timed", "fail"),
    "skipped": ("skipped", "xfailed", "todo", "ignored", "pending", "expected failures", "incomplete", "skip"),
    "errors": ("error", "errors", "exec"),
    "ran": ("test", "tests", "tests run", "example", "examples"),
}
_MEANING = {word: meaning for meaning, words in _MEANINGS.items() for word in words}
# "3 passed, 1 failed", "failures=1" or "Errors: 2".
_COUNT = re.compile(r"(?P<before>\d+) (?P<counted>[A-Za-z]+)|(?P<named>[A-Za-z][A-Za-z ]{0,30})[=:] *(?P<after>\d+)")

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
    r"(?ms)^Test Suites: (?P<suites>.*?) total$.*?^Tests: (?P<counts>.*?) total$|^(?P<none>No tests found, exiting with code 1)"
)
_JEST_BROKEN_SUITE = re.compile(r"(?m)^\s*● Test suite failed to run")
_VITEST = re.compile(
    r"(?m)^ *Test Files +.*\n *Tests +(?P<counts>.*?)(?: \(\d+\))?\n(?: *Type Errors .*\n)?(?: *Errors +(?P<errors>\d+) errors?)?"
    r"|^(?P<none>No test files found, exiting with code 1)"
)
_VITEST_BROKEN_FILES = re.compile(r"⎯ Failed Suites (\d+) ⎯")
_GO_PACKAGE = re.compile(r"(?m)^(?P<verdict>ok|FAIL) ?\s+\S+(?:\s+(?P<rest>.*))?$")
_GO_TEST = re.compile(r"(?m)^--- (?P<verdict>PASS|FAIL|SKIP): ")
_GOTESTSUM = re.compile(r"(?m)^DONE (?:\d+ runs?, )?(?P<counts>\d+ tests?(?:, \d+ \w+)*) in [\d.]+s")
_CARGO = re.compile(r"(?m)^test result: \w+\. (?P<counts>\d+ passed; \d+ failed; \d+ ignored;).*$")
_CARGO_ERROR = re.compile(r"(?m)^error: could not compile .*$")
_NEXTEST = re.compile(r"(?m)^\s*Summary \[\s*[\d.]+s\]\s+(?:\d+/)?\d+ tests? run: (?P<counts>.*)$")
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
_DOTNET = re.compile(r"(?m)^\s*Test summary: (?P<counts>total: \d+, failed: \d+, succeeded: \d+, skipped: \d+)")
_DOTNET_ASSEMBLY = re.compile(
    r"(?m)^\s*(?:Passed|Failed|Skipped)!\s+- (?P<counts>Failed:\s+\d+, Passed:\s+\d+, Skipped:\s+\d+), Total:\s+\d+"
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


def _counted(texts: Iterable[str | None], *, errors_ran: bool = True) -> Counter[str]:
    """Return the tests of a summary by their outcome. With ``errors_ran``, tests with an error are among those that ran."""
    found: Counter[str] = Counter()
    for match in _COUNT.finditer("\n".join(text or "" for text in texts)):
        if meaning := _MEANING.get((match["counted"] or match["named"]).lower()):
            found[meaning] += int(match["before"] or match["after"])
    if "ran" in found:  # the framework does not print how many passed
        others = found["failed"] + found["skipped"] + (found["errors"] if errors_ran else 0)
        found["passed"] = max(0, found["ran"] - others)
    return found


def _summary(
    matches: Iterable[re.Match[str]], counts: Counter[str], errors: int = 0, *, empty_fails: bool = False
) -> Summary:
    end = max(match.end() for match in matches)
    return Summary(end, counts["passed"], counts["failed"], counts["skipped"], counts["errors"] + errors, empty_fails)


def _by_verdict(verdicts: Iterable[str]) -> Counter[str]:
    return Counter(_MEANING.get(verdict.lower(), "") for verdict in verdicts)


def _each(
    pattern: re.Pattern[str],
    broken: Callable[[re.Match[str], str], int] = lambda _match, _before: 0,
    *,
    errors_ran: bool = True,
    empty_fails: bool = False,
) -> Reader:
    """Return a reader for a framework that prints one summary for each run. ``broken`` counts the files that could not run."""

    def read(output: str) -> list[Summary]:
        found, begin = [], 0
        for match in pattern.finditer(output):
            counts = _counted([match["counts"]], errors_ran=errors_ran)
            errors = broken(match, output[begin : match.start()])
            fails = empty_fails or bool(match.groupdict().get("none"))
            found.append(_summary([match], counts, errors, empty_fails=fails))
            begin = match.end()
        return found

    return read


def _together(*patterns: re.Pattern[str], error: re.Pattern[str] | None = None) -> Reader:
    """Return a reader that adds up all matches of the first pattern that matches. ``error`` finds a failed build."""

    def read(output: str) -> list[Summary]:
        matches = next(filter(None, (list(pattern.finditer(output)) for pattern in patterns)), [])
        errors = list(error.finditer(output)) if error else []
        counts = _counted(match["counts"] for match in matches)
        return [_summary([*matches, *errors], counts, int(bool(errors)))] if matches or errors else []

    return read


def _first(*readers: Reader) -> Reader:
    """Return a reader that returns what the first of several readers finds."""
    return lambda output: next(filter(None, (reader(output) for reader in readers)), [])


def _jest_broken(match: re.Match[str], before: str) -> int:
    # Jest prints long failures twice.
    return min(len(_JEST_BROKEN_SUITE.findall(before)), _counted([match["suites"]])["failed"])


def _vitest_broken(match: re.Match[str], before: str) -> int:
    return sum(map(int, _VITEST_BROKEN_FILES.findall(before))) + int(match["errors"] or 0)


def _go(output: str) -> list[Summary]:
    """Read all packages of an output together. Passing tests are shown only with ``-v``. A subtest belongs to its test."""
    packages, tests = list(_GO_PACKAGE.finditer(output)), list(_GO_TEST.finditer(output))
    failed = [match for match in packages if match["verdict"] == "FAIL"]
    broken = sum((match["rest"] or "").endswith(" failed]") for match in failed)
    verdicts = [match["verdict"] for match in tests]
    errors = broken or int(bool(failed) and "FAIL" not in verdicts)  # a panic fails a package, but none of its tests
    return [_summary([*packages, *tests], _by_verdict(verdicts), errors)] if packages or tests else []


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
        if "Package" not in event or action not in ("pass", "fail", "skip"):
            continue
        events.append(line)
        if not isinstance(test, str):
            package_failed = package_failed or action == "fail"
        elif "/" not in test:
            verdicts.append(action)
    errors = int(package_failed and "fail" not in verdicts)
    return [_summary(events, _by_verdict(verdicts), errors)] if events else []


def _gradle(output: str) -> list[Summary]:
    """Read Gradle's own total, which it prints if a test failed, or the tests that a build logs by name."""
    totals = list(_GRADLE.finditer(output))
    tests = [match for match in _GRADLE_TEST.finditer(output) if " > " in match["name"]]
    verdicts = [match["verdict"] for match in tests]
    logged = not totals or "PASSED" in verdicts
    counts = _by_verdict(verdicts) if logged else _counted(match["counts"] for match in totals)
    return [_summary([*totals, *tests], counts)] if totals or tests else []


_nextest, _cargo_test = _each(_NEXTEST), _together(_CARGO, error=_CARGO_ERROR)

READERS: dict[str, Reader] = {
    "pytest": _each(_PYTEST, empty_fails=True),
    "unittest": _each(_UNITTEST),
    "jest": _each(_JEST, _jest_broken),
    "vitest": _each(_VITEST, _vitest_broken),
    "go": _first(_each(_GOTESTSUM, errors_ran=False), _go_json, _go),
    "cargo": lambda output: _nextest(output) + _cargo_test(output),
    "maven": _together(_MAVEN, _MAVEN_CLASS, error=_MAVEN_ERROR),
    "gradle": _gradle,
    "rspec": _each(_RSPEC, errors_ran=False),
    "phpunit": _each(_PHPUNIT),
    "dotnet": _first(_together(_DOTNET, _DOTNET_ASSEMBLY, _DOTNET_LONG), _together(error=_DOTNET_ERROR)),
}
