"""The summaries that test frameworks print, each framework with a reader of its own.

A reader gets the whole output, without colours, and returns every summary in it with the place where it ends. Formats: as the
tools print them (``tests/data/suite_runs`` holds recorded outputs); Gradle's and .NET's as their sources and users show them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "error"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run of a framework says at its end.

    Attributes:
        end: where in the output it ends.
        passed: tests.
        failed: tests.
        skipped: tests skipped, pending, to be written, ignored, or expected to fail.
        errors: tests, files or packages that could not be run.
        empty_fails: the framework takes a run without any test for an error.
    """

    end: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    empty_fails: bool = False

    @property
    def outcome(self) -> Outcome:
        """Failed tests say more than errors; a run in which nothing ran is an error where the framework says so."""
        if self.failed:
            return "failed"
        return "error" if self.errors or (self.empty_fails and not self.passed + self.skipped) else "passed"


Reader = Callable[[str], list[Summary]]

# pytest's words; unittest's; others' in their own readers. Expected failures are skipped, as in JUnit's XML of both.
_WORDS = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "error": "errors",
    "errors": "errors",
}

_PYTEST = re.compile(
    r"^(?:=+ )?(?P<counts>\d+ [a-z]+(?: [a-z]+)?(?:, \d+ [a-z]+(?: [a-z]+)?)*|no tests ran) in [\d.]+s(?: \([\d:]+(?:, [^)]*)?\))?(?: =+)?\s*$",
    re.MULTILINE,
)
_UNITTEST = re.compile(
    r"^Ran (?P<ran>\d+) tests? in [\d.]+s\s+^(?P<verdict>OK|FAILED|NO TESTS RAN)(?: \((?P<counts>[^)]*)\))?\s*?$",
    re.MULTILINE,
)
_JEST = re.compile(
    r"^Test Suites: (?P<suites>.*?) total$.*?^Tests: (?P<counts>.*?) total$|^(?P<none>No tests found, exiting with code 1)",
    re.MULTILINE | re.DOTALL,
)
_JEST_BROKEN_SUITE = re.compile(r"^\s*● Test suite failed to run", re.MULTILINE)
_VITEST = re.compile(
    r"^ *Test Files +(?P<files>.*)\n *Tests +(?P<counts>.*?)(?P<total> \(\d+\))?\n(?: *Type Errors .*\n)?(?: *Errors +(?P<errors>\d+) errors?)?|^(?P<none>No test files found, exiting with code 1)",
    re.MULTILINE,
)
_VITEST_BROKEN_FILE = re.compile(r"⎯ Failed Suites (\d+) ⎯")
_GO_PACKAGE = re.compile(r"^(?P<verdict>ok|FAIL) ?\s+(?P<package>\S+)(?:\s+(?P<rest>.*))?$", re.MULTILINE)
_GO_TEST = re.compile(r"^--- (?P<verdict>PASS|FAIL|SKIP): ", re.MULTILINE)
_GOTESTSUM = re.compile(r"^DONE (?:\d+ runs?, )?(?P<ran>\d+) tests?(?P<counts>(?:, \d+ \w+)*) in [\d.]+s", re.MULTILINE)
_CARGO = re.compile(
    r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed; (?P<ignored>\d+) ignored;.*$", re.MULTILINE
)
_CARGO_ERROR = re.compile(r"^error: could not compile .*$", re.MULTILINE)
_NEXTEST = re.compile(r"^\s*Summary \[\s*[\d.]+s\]\s+(?:\d+/)?\d+ tests? run: (?P<counts>.*)$", re.MULTILINE)
_MAVEN = re.compile(
    r"^(?:\[\w+\]\s+)?Tests run: (?P<ran>\d+), Failures: (?P<failures>\d+), Errors: (?P<errors>\d+), Skipped: (?P<skipped>\d+)(?P<class>,? .*)?$",
    re.MULTILINE,
)
_MAVEN_ERROR = re.compile(r"^\[ERROR\] COMPILATION ERROR.*$", re.MULTILINE)
_GRADLE = re.compile(r"^(?P<ran>\d+) tests? completed(?P<counts>(?:, \d+ (?:failed|skipped))*)\s*$", re.MULTILINE)
_GRADLE_TEST = re.compile(r"^(?P<name>\S.*) (?P<verdict>PASSED|FAILED|SKIPPED)$", re.MULTILINE)
_RSPEC = re.compile(
    r"^(?P<ran>\d+) examples?, (?P<failed>\d+) failures?(?:, (?P<pending>\d+) pending)?(?:, (?P<errors>\d+) errors? occurred outside of examples)?",
    re.MULTILINE,
)
_PHPUNIT = re.compile(
    r"^OK \((?P<ok>\d+) tests?, \d+ assertions?\)|^Tests: (?P<ran>\d+), (?P<counts>.*)\.$|^(?P<none>No tests executed!)",
    re.MULTILINE,
)
_DOTNET_SUMMARY = re.compile(
    r"^\s*Test summary: total: (?P<total>\d+), failed: (?P<failed>\d+), succeeded: (?P<passed>\d+), skipped: (?P<skipped>\d+)",
    re.MULTILINE,
)
_DOTNET_ASSEMBLY = re.compile(
    r"^\s*(?:Passed|Failed|Skipped)!\s+- Failed:\s+(?P<failed>\d+), Passed:\s+(?P<passed>\d+), Skipped:\s+(?P<skipped>\d+), Total:\s+\d+",
    re.MULTILINE,
)
_DOTNET_LONG = re.compile(
    r"^Total tests: (?P<total>\d+)(?P<counts>(?:\n\s+(?:Passed|Failed|Skipped): \d+)*)", re.MULTILINE
)
_DOTNET_ERROR = re.compile(r"^Build FAILED\.|: error [A-Z]+\d+: ", re.MULTILINE)

# A total that a coverage tool states, in percent of the lines (statements) that ran: coverage.py, Istanbul (column "% Lines"),
# go tool cover, SimpleCov, PHPUnit, cargo llvm-cov (column "Lines … Cover") and tarpaulin.
_COVERAGE = re.compile(
    r"^TOTAL(?: +\d+){2,4} +(?P<coverage_py>[\d.]+)%\s*$"
    r"|^All files +\|(?: +[\d.]+ +\|){3} +(?P<istanbul>[\d.]+) +\|"
    r"|^total:\s+\(statements\)\s+(?P<go_tool>[\d.]+)%"
    r"|^(?:Line Coverage: |Coverage report generated .* LOC \()(?P<simplecov>[\d.]+)%"
    r"|^ +Lines: +(?P<phpunit>[\d.]+)% \("
    r"|^TOTAL +\d+ +\d+ +[\d.]+% +\d+ +\d+ +[\d.]+% +\d+ +\d+ +(?P<llvm_cov>[\d.]+)%"
    r"|^(?P<tarpaulin>[\d.]+)% coverage, \d+/\d+ lines covered",
    re.MULTILINE,
)
_GO_COVERAGE = re.compile(r"^ok\s+\S+\s.*coverage: (?P<percent>[\d.]+)% of statements", re.MULTILINE)


def coverage_totals(output: str) -> list[tuple[int, float]]:
    """The totals of coverage in an output, each with its place. Go states one for each package: with several there is no total."""
    found = [(match.start(), float(next(filter(None, match.groups())))) for match in _COVERAGE.finditer(output)]
    packages = [(match.start(), float(match["percent"])) for match in _GO_COVERAGE.finditer(output)]
    stated = any(match["go_tool"] for match in _COVERAGE.finditer(output))
    return found if stated or len(packages) != 1 else sorted([*found, *packages])


def _number(text: str | None) -> int:
    return int(text) if text else 0


def _counted(counts: str) -> dict[str, int]:
    """``3 passed, 1 failed`` or ``1 failed | 2 passed`` as word to number."""
    found: dict[str, int] = {}
    for number, word in re.findall(r"(\d+) ([a-z]+)", counts):
        found[word] = found.get(word, 0) + int(number)
    return found


def _pytest(output: str) -> list[Summary]:
    found = []
    for match in _PYTEST.finditer(output):
        totals = dict.fromkeys(("passed", "failed", "skipped", "errors"), 0)
        words = _counted(match["counts"])
        for word, number in words.items():
            if word in _WORDS:
                totals[_WORDS[word]] += number
        if match["counts"] == "no tests ran" or words.keys() & (_WORDS.keys() | {"deselected", "warning", "warnings"}):
            found.append(Summary(match.end(), **totals, empty_fails=True))
    return found


def _unittest(output: str) -> list[Summary]:
    found = []
    for match in _UNITTEST.finditer(output):
        counts = {word: int(number) for word, number in re.findall(r"([a-z ]+)=(\d+)", match["counts"] or "")}
        counts = {word.strip(): number for word, number in counts.items()}
        failed = counts.get("failures", 0) + counts.get("unexpected successes", 0)
        errors = counts.get("errors", 0)
        skipped = counts.get("skipped", 0) + counts.get("expected failures", 0)
        # what goes wrong around a class or a module is an error, yet no test that ran
        passed = max(0, int(match["ran"]) - failed - errors - skipped)
        found.append(
            Summary(match.end(), passed, failed, skipped, errors, empty_fails=match["verdict"] == "NO TESTS RAN")
        )
    return found


def _jest(output: str) -> list[Summary]:
    found, begin = [], 0
    for match in _JEST.finditer(output):
        words = _counted(match["counts"] or "")
        broken = len(_JEST_BROKEN_SUITE.findall(output, begin, match.start()))
        broken = min(broken, _counted(match["suites"] or "").get("failed", 0))  # jest prints long failures twice
        found.append(
            Summary(
                match.end(),
                words.get("passed", 0),
                words.get("failed", 0),
                words.get("skipped", 0) + words.get("todo", 0),
                broken,
                empty_fails=match["none"] is not None,
            )
        )
        begin = match.end()
    return found


def _vitest(output: str) -> list[Summary]:
    found, begin = [], 0
    for match in _VITEST.finditer(output):
        words = _counted(match["counts"] or "")
        broken = sum(map(int, _VITEST_BROKEN_FILE.findall(output, begin, match.start())))
        found.append(
            Summary(
                match.end(),
                words.get("passed", 0),
                words.get("failed", 0),
                words.get("skipped", 0) + words.get("todo", 0),
                broken + _number(match["errors"]),
                empty_fails=match["none"] is not None,
            )
        )
        begin = match.end()
    return found


def _go(output: str) -> list[Summary]:
    """All packages of an output together. Only ``-v`` and ``-json`` name the tests that pass; subtests belong to their test."""
    if summed := list(_GOTESTSUM.finditer(output)):
        return [_gotestsum(match) for match in summed]
    if '{"' in output and (told := _go_json(output)):
        return told
    packages = list(_GO_PACKAGE.finditer(output))
    tests = list(_GO_TEST.finditer(output))
    if not packages and not tests:
        return []
    verdicts = [match["verdict"] for match in tests]
    failed = verdicts.count("FAIL")
    broken = sum(match["verdict"] == "FAIL" and (match["rest"] or "").endswith(" failed]") for match in packages)
    fallen = any(match["verdict"] == "FAIL" for match in packages)
    errors = broken or int(fallen and not failed)  # a panic or os.Exit fails a package and none of its tests
    end = max(match.end() for match in [*packages, *tests])
    return [Summary(end, verdicts.count("PASS"), failed, verdicts.count("SKIP"), errors)]


def _go_json(output: str) -> list[Summary]:
    """The events of ``go test -json``, one object a line (``go doc test2json``)."""
    verdicts: list[str] = []
    fallen = False
    end = 0
    for line in re.finditer(r"^\{.*\}$", output, re.MULTILINE):
        try:
            event = json.loads(line[0])
        except ValueError:
            continue
        action, test = event.get("Action"), event.get("Test")
        if "Package" not in event or action not in {"pass", "fail", "skip"}:
            continue
        end = line.end()
        if isinstance(test, str):
            verdicts += [action] if "/" not in test else []
        else:
            fallen = fallen or action == "fail"
    failed = verdicts.count("fail")
    return (
        [Summary(end, verdicts.count("pass"), failed, verdicts.count("skip"), int(fallen and not failed))]
        if end
        else []
    )


def _gotestsum(match: re.Match[str]) -> Summary:
    words = {word.rstrip("s"): number for word, number in _counted(match["counts"]).items()}
    failed, skipped = words.get("failure", 0), words.get("skipped", 0)
    return Summary(match.end(), max(0, int(match["ran"]) - failed - skipped), failed, skipped, words.get("error", 0))


def _cargo(output: str) -> list[Summary]:
    """All test binaries, and the documentation's tests, of an output together; and each summary of nextest."""
    found = []
    for match in _NEXTEST.finditer(output):
        words = _counted(re.sub(r"\([^)]*\)", "", match["counts"]))
        failed = words.get("failed", 0) + words.get("timed", 0)
        found.append(
            Summary(match.end(), words.get("passed", 0), failed, words.get("skipped", 0), words.get("exec", 0))
        )
    results = list(_CARGO.finditer(output))
    errors = list(_CARGO_ERROR.finditer(output))
    if results or errors:
        passed, failed, ignored = (
            sum(int(match[name]) for match in results) for name in ("passed", "failed", "ignored")
        )
        end = max(match.end() for match in [*results, *errors])
        found.append(Summary(end, passed, failed, ignored, int(bool(errors))))
    return found


def _maven(output: str) -> list[Summary]:
    """Surefire's and Failsafe's totals, one for each module, together; without any, the classes' own lines."""
    lines = list(_MAVEN.finditer(output))
    lines = [match for match in lines if not match["class"]] or lines
    broken = list(_MAVEN_ERROR.finditer(output))
    if not lines and not broken:
        return []
    ran, failures, errors, skipped = (
        sum(int(match[name]) for match in lines) for name in ("ran", "failures", "errors", "skipped")
    )
    end = max(match.end() for match in [*lines, *broken])
    return [Summary(end, max(0, ran - failures - errors - skipped), failures, skipped, errors + int(bool(broken)))]


def _gradle(output: str) -> list[Summary]:
    """Gradle counts only where a test failed, and names tests only where the build logs them."""
    totals = list(_GRADLE.finditer(output))
    tests = [match for match in _GRADLE_TEST.finditer(output) if " > " in match["name"]]
    if not totals and not tests:
        return []
    end = max(match.end() for match in [*totals, *tests])
    verdicts = [match["verdict"] for match in tests]
    if not totals or "PASSED" in verdicts:
        return [Summary(end, verdicts.count("PASSED"), verdicts.count("FAILED"), verdicts.count("SKIPPED"))]
    words = [_counted(match["counts"]) for match in totals]
    failed, skipped = (sum(each.get(word, 0) for each in words) for word in ("failed", "skipped"))
    return [Summary(end, max(0, sum(int(match["ran"]) for match in totals) - failed - skipped), failed, skipped)]


def _rspec(output: str) -> list[Summary]:
    found = []
    for match in _RSPEC.finditer(output):
        failed, pending = int(match["failed"]), _number(match["pending"])
        found.append(
            Summary(
                match.end(), max(0, int(match["ran"]) - failed - pending), failed, pending, _number(match["errors"])
            )
        )
    return found


def _phpunit(output: str) -> list[Summary]:
    found = []
    for match in _PHPUNIT.finditer(output):
        counts = {word: int(number) for word, number in re.findall(r"(\w+): (\d+)", match["counts"] or "")}
        failed, errors = counts.get("Failures", 0), counts.get("Errors", 0)
        skipped = counts.get("Skipped", 0) + counts.get("Incomplete", 0)
        passed = max(0, _number(match["ok"] or match["ran"]) - failed - errors - skipped)
        found.append(Summary(match.end(), passed, failed, skipped, errors))
    return found


def _dotnet(output: str) -> list[Summary]:
    """The summary of all assemblies, or their lines added up."""
    found = list(_DOTNET_SUMMARY.finditer(output)) or list(_DOTNET_ASSEMBLY.finditer(output))
    if found:
        passed, failed, skipped = (sum(int(match[name]) for match in found) for name in ("passed", "failed", "skipped"))
        return [Summary(found[-1].end(), passed, failed, skipped)]
    if totals := list(_DOTNET_LONG.finditer(output)):
        counts = [
            (word, int(number)) for match in totals for word, number in re.findall(r"(\w+): (\d+)", match["counts"])
        ]
        passed, failed, skipped = (
            sum(n for word, n in counts if word == each) for each in ("Passed", "Failed", "Skipped")
        )
        return [Summary(totals[-1].end(), passed, failed, skipped)]
    return [Summary(match.end(), errors=1) for match in list(_DOTNET_ERROR.finditer(output))[-1:]]


READERS: dict[str, Reader] = {
    "pytest": _pytest,
    "unittest": _unittest,
    "jest": _jest,
    "vitest": _vitest,
    "go": _go,
    "cargo": _cargo,
    "maven": _maven,
    "gradle": _gradle,
    "rspec": _rspec,
    "phpunit": _phpunit,
    "dotnet": _dotnet,
}
