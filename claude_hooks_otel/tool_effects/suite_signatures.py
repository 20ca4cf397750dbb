"""The test runs in the output of a program that may run any framework: a script, make, npm, a container.

Such an output can be anything, so only what no other program prints counts. A line ``ok`` or ``FAIL``, a count of passed rows or a failed
build is no test run. Each stretch of output belongs to one framework.
"""

from __future__ import annotations

import re
from collections import defaultdict

from claude_hooks_otel.tool_effects import suite_tap as tap
from claude_hooks_otel.tool_effects.suite_counts import Reader, Summary, both, each, first, together
from claude_hooks_otel.tool_effects.suite_outputs import GO_BENCHMARK, READERS, jest_broken, vitest_broken

_PYTEST_WORD = (
    r"(?:passed|failed|skipped|xfailed|xpassed|deselected|errors?|warnings?|rerun|subtests (?:passed|failed|skipped))"
)
_PYTEST_COUNTS = rf"(?P<counts>\d+ {_PYTEST_WORD}(?:, \d+ {_PYTEST_WORD})*|(?P<none>no tests ran))"
_PYTEST_TIME = r"in [\d.]+s(?: \([\d:]+(?:, [^)\n]*)?\))?"
_PYTEST = re.compile(
    rf"(?m)^(?P<frame>=+ )?{_PYTEST_COUNTS} {_PYTEST_TIME}(?(frame) =+)$",
)
# With -q, pytest prints the counts without a frame. Then the progress, or the list of failed tests, must be above them.
_PYTEST_PROGRESS = re.compile(r"(?m)^[.FEsxXR,]+ +\[ *\d+%\]$|^(?:FAILED|ERROR) \S+\.py(?:::| |$)")
_UNITTEST = re.compile(
    r"(?m)^-{70}\nRan (?P<counts>\d+ tests? in [\d.]+s\n\n(?:OK|FAILED|(?P<none>NO TESTS RAN))(?: \([^)\n]*\))?)$"
)
_JEST_COUNTS = r"(?:\d+ (?:failed|skipped|pending|todo|passed), )*\d+"
_JEST = re.compile(
    rf"(?m)^Test Suites: (?P<suites>{_JEST_COUNTS}(?: of \d+)?) total\nTests: +(?P<counts>{_JEST_COUNTS}) total$"
    r"|^(?P<none>No tests found, exiting with code 1\nRun with `--passWithNoTests`)"
)
_VITEST_COUNTS = r"\d+ [a-z]+(?: [a-z]+)?(?: \| \d+ [a-z]+(?: [a-z]+)?)*"
_VITEST = re.compile(
    rf"(?m)^ *Test Files  (?:no tests|{_VITEST_COUNTS} \(\d+\))\n *Tests  (?P<counts>no tests|{_VITEST_COUNTS})(?: \(\d+\))?$\n?"
    r"(?: *Type Errors .*\n)?(?: *Errors +(?P<errors>\d+) errors?$)?"
    r"|^(?P<none>No test files found, exiting with code 1\n\n(?:filter: .*\n)?(?:projects: .*\n)?include: )"
)
_MOCHA = re.compile(
    r"(?m)(?:\A|(?<=\n\n))  (?P<counts>\d+ passing \(\d+(?:ms|[smhd])\)(?:\n  \d+ (?:pending|failing))*)$"
)
_PLAYWRIGHT_HEAD = re.compile(r"(?m)^Running \d+ tests? using \d+ workers?\b.*$")
_CARGO = re.compile(
    r"(?m)^test result: (?:ok|FAILED)\. (?P<counts>\d+ passed; \d+ failed; \d+ ignored;) 0 measured; \d+ filtered out.*$"
)
_NEXTEST = re.compile(
    r"(?m)^ +Summary \[ *[\d.]+s\] +(?:\d+/)?\d+ tests? run: (?P<counts>\d+ passed.*)$(?P<none>\nerror: no tests to run$)?"
)
_MAVEN_COUNTS = r"^\[(?:INFO|WARNING|ERROR)\] +(?P<counts>Tests run: \d+, Failures: \d+, Errors: \d+, Skipped: \d+)"
_MAVEN = re.compile(rf"(?m){_MAVEN_COUNTS}$")
_MAVEN_CLASS = re.compile(rf"(?m){_MAVEN_COUNTS},? .*$")
# Gradle prints a total only if a test failed.
_GRADLE_TESTS = re.compile(r"(?m)^\d+ tests? completed, \d+ failed|^\S.* > .* (?:PASSED|FAILED|SKIPPED)$")
_GRADLE_HEAD = re.compile(
    r"(?m)^> Task :\S*[Tt]est|^BUILD (?:SUCCESSFUL|FAILED) in |^> There were failing tests\. See the "
)
_RSPEC = re.compile(
    r"(?m)^Finished in .* \(files took .* to load\)\n"
    r"(?P<counts>\d+ examples?, \d+ failures?(?:, \d+ pending)?(?:, \d+ errors? occurred outside of examples)?)$"
)
_PHPUNIT_HEAD = re.compile(r"(?m)^PHPUnit \d+\.\d+.* by Sebastian Bergmann")
_PHPUNIT = re.compile(
    r"(?m)^(?P<counts>OK \(\d+ tests?, \d+ assertions?\)|Tests: \d+, Assertions: \d+.*\.)$|^No tests executed!$"
)
_DOTNET = re.compile(
    r"(?m)^[ \t]*Test summary: (?P<counts>total: \d+, failed: \d+, succeeded: \d+, skipped: \d+), duration: "
)
_DOTNET_ASSEMBLY = re.compile(
    r"(?m)^[ \t]*(?:Passed|Failed|Skipped)!\s+- (?P<counts>Failed:\s+\d+, Passed:\s+\d+, Skipped:\s+\d+), Total:\s+\d+, Duration: "
)
_DOTNET_LONG = re.compile(
    r"(?m)^Total tests: \d+(?P<counts>(?:\n\s+(?:Passed|Failed|Skipped): \d+)+)\n Total time: [\d.]+ \w+"
)
# The prefix of docker compose: "app-1  | ".
_SERVICE = re.compile(r"(?P<service>[\w.-]+[-_]\d+) +\| ?")


def _pytest(output: str) -> list[Summary]:
    found, begin = [], 0
    for summary in each(_PYTEST, empty_fails=True)(output):
        if output.startswith("=", summary.start) or _PYTEST_PROGRESS.search(output, begin, summary.start):
            found.append(summary)
        begin = summary.end
    return found


def _go(output: str) -> list[Summary]:
    """Read Go's packages and tests. A run of benchmarks looks the same, so it must not be one."""
    found = READERS["go"](output)
    no_test = all(not (each.passed + each.failed + each.skipped + each.errors) for each in found)
    return [] if no_test and GO_BENCHMARK.search(output) else found


def _with(head: re.Pattern[str], reader: Reader) -> Reader:
    """Return a reader that reads only an output with a head in it."""
    return lambda output: reader(output) if head.search(output) else []


_SIGNATURES: dict[str, Reader] = {
    "pytest": _pytest,
    "unittest": each(_UNITTEST),
    "jest": each(_JEST, jest_broken),
    "vitest": each(_VITEST, vitest_broken),
    "mocha": each(_MOCHA),
    "playwright": _with(_PLAYWRIGHT_HEAD, READERS["playwright"]),
    "bun": READERS["bun"],
    "node": READERS["node"],
    "prove": READERS["prove"],
    "mix": READERS["mix"],
    "ctest": READERS["ctest"],
    "go": _go,
    "cargo": both(each(_NEXTEST), together(_CARGO)),
    "maven": together(_MAVEN, _MAVEN_CLASS),
    "gradle": _with(_GRADLE_HEAD, _with(_GRADLE_TESTS, READERS["gradle"])),
    "rspec": each(_RSPEC, errors_ran=False),
    "phpunit": each(_PHPUNIT, head=_PHPUNIT_HEAD),
    "dotnet": first(together(_DOTNET), together(_DOTNET_ASSEMBLY), together(_DOTNET_LONG)),
}


def unmistakable(output: str) -> list[tuple[str, Summary]]:
    """Return the frameworks and summaries in an output of an unknown program. What lies inside another summary is left out."""
    found = [(framework, summary) for framework, reader in _SIGNATURES.items() for summary in reader(output)]
    if not {"node", "prove"} & {framework for framework, _ in found}:  # they print TAP, too, and then their own totals
        found += tap.complete(output)
    return without_inner(found)


def without_inner(found: list[tuple[str, Summary]]) -> list[tuple[str, Summary]]:
    """Return the summaries that do not overlap with an earlier or longer one, in the order of their ends."""
    kept: list[tuple[str, Summary]] = []
    for framework, summary in sorted(found, key=lambda pair: (pair[1].start, -pair[1].end)):
        if not kept or summary.start >= kept[-1][1].end:
            kept.append((framework, summary))
    return kept


def by_service(output: str) -> str:
    """Return the output of docker compose without the prefixes of its lines, one service after the other."""
    if " | " not in output:
        return output
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for line in output.split("\n"):
        prefix = _SERVICE.match(line)
        lines[prefix["service"] if prefix else ""].append(line[prefix.end() :] if prefix else line)
    return "\n".join(line for service in lines.values() for line in service)
