"""What a test framework says at the end of a run, and the parts that the readers of its output share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run of a framework prints at its end.

    Attributes:
        start: the position of its first character in the output.
        end: the position of its end.
        passed: tests that passed.
        failed: tests that failed.
        skipped: tests that were skipped, pending, to be written, ignored, or expected to fail.
        errors: tests, files or packages that could not run.
        nothing_ran: whether the framework found no test and calls that an error.
    """

    start: int
    end: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    nothing_ran: bool = False


Reader = Callable[[str], list[Summary]]

# The words next to the counts. Expected failures count as skipped, as in the JUnit XML of pytest and unittest.
_MEANINGS = {
    "passed": ("passed", "xpassed", "succeeded", "pass", "passing"),
    "failed": ("failed", "failure", "failures", "unexpected successes", "timed", "fail", "failing"),
    "skipped": (
        "skipped", "xfailed", "todo", "ignored", "pending", "expected failures", "incomplete", "skip",
        "did", "not",  # "did not run", "not run"
    ),
    "errors": ("error", "errors", "exec", "invalid", "cancelled", "interrupted"),
    "excluded": ("excluded",),
    "ran": (
        "test", "tests", "tests run", "example", "examples", "doctest", "doctests", "property", "properties", "feature", "features",
    ),
}  # fmt: skip
_MEANING = {word: meaning for meaning, words in _MEANINGS.items() for word in words}
# "3 passed, 1 failed", "failures=1" or "Errors: 2".
_COUNT = re.compile(r"(?P<before>\d+) (?P<counted>[A-Za-z]+)|(?P<named>[A-Za-z][A-Za-z ]{0,30})[=:] *(?P<after>\d+)")


def counted(texts: Iterable[str | None], *, errors_ran: bool = True) -> Counter[str]:
    """Return the tests of a summary by their outcome. With ``errors_ran``, tests with an error are among those that ran."""
    found: Counter[str] = Counter()
    for match in _COUNT.finditer("\n".join(text or "" for text in texts)):
        if meaning := _MEANING.get((match["counted"] or match["named"]).lower()):
            found[meaning] += int(match["before"] or match["after"])
    if "ran" in found:  # the framework does not print how many passed
        others = found["failed"] + found["skipped"] + found["excluded"] + (found["errors"] if errors_ran else 0)
        found["passed"] = max(0, found["ran"] - others)
    return found


def by_verdict(verdicts: Iterable[str]) -> Counter[str]:
    """Return how many tests have each outcome. A verdict is a word such as ``FAIL``."""
    return Counter(_MEANING.get(verdict.lower(), "") for verdict in verdicts)


def summary(
    matches: Iterable[re.Match[str]], counts: Counter[str], errors: int = 0, *, nothing_ran: bool = False
) -> Summary:
    """Return a summary with these counts. Its place is that of the last match."""
    last = max(matches, key=lambda match: match.end())
    return Summary(
        last.start(),
        last.end(),
        counts["passed"],
        counts["failed"],
        counts["skipped"],
        counts["errors"] + errors,
        nothing_ran,
    )


def each(
    pattern: re.Pattern[str],
    broken: Callable[[re.Match[str], str], int] = lambda _match, _before: 0,
    *,
    head: re.Pattern[str] | None = None,
    errors_ran: bool = True,
    empty_fails: bool = False,
) -> Reader:
    """Return a reader for a framework that prints one summary for each run.

    Args:
        pattern: matches a summary. The group ``counts`` has the counts. The group ``none`` matches if a run without any test is an error.
        broken: counts the files that could not run, in the summary and the output before it.
        head: what must come before each summary, if only both together are sure.
        errors_ran: whether tests with an error are among those that ran.
        empty_fails: whether a run without any test is an error.
    """

    def read(output: str) -> list[Summary]:
        found, begin = [], 0
        for match in pattern.finditer(output):
            above = head.search(output, begin, match.start()) if head else match
            if above:
                counts = counted([match["counts"]], errors_ran=errors_ran)
                errors = broken(match, output[begin : match.start()])
                empty = empty_fails and not (counts["passed"] + counts["skipped"])
                nothing_ran = empty or bool(match.groupdict().get("none"))
                one = summary([match], counts, errors, nothing_ran=nothing_ran)
                found.append(replace(one, start=above.start()))
            begin = match.end()
        return found

    return read


def together(*patterns: re.Pattern[str], error: re.Pattern[str] | None = None) -> Reader:
    """Return a reader that adds up all matches of the first pattern that matches. ``error`` finds a failed build."""

    def read(output: str) -> list[Summary]:
        matches = next(filter(None, (list(pattern.finditer(output)) for pattern in patterns)), [])
        errors = list(error.finditer(output)) if error else []
        counts = counted(match["counts"] for match in matches)
        return [summary([*matches, *errors], counts, int(bool(errors)))] if matches or errors else []

    return read


def first(*readers: Reader) -> Reader:
    """Return a reader that returns what the first of several readers finds."""
    return lambda output: next(filter(None, (reader(output) for reader in readers)), [])


def both(*readers: Reader) -> Reader:
    """Return a reader that returns what all of several readers find."""
    return lambda output: [found for reader in readers for found in reader(output)]
