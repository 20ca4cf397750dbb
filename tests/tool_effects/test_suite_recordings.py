"""Recorded outputs of many runners have their true counts, and outputs of other programs are no test run."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from claude_hooks_otel.metrics.catalog import TEST_RUNS
from claude_hooks_otel.tool_effects.suite_outputs import READERS
from claude_hooks_otel.tool_effects.suite_runs import suite_runs
from tests.support.places import DATA

OUTPUTS, NO_RUNS = DATA / "suite_runs", DATA / "no_test_runs"
EXPECTED = json.loads((OUTPUTS / "expected.json").read_text())
WRITTEN = {case["id"]: case for case in json.loads((OUTPUTS / "written.json").read_text())}
CASES = {
    case["id"]: case
    for name in ("cases", "later_cases", "unknown_runners")
    for case in json.loads((NO_RUNS / f"{name}.json").read_text())
}

# A script prints an old log whole. Nothing shows that its runs are not new.
KNOWN_LIMITS = {"tee-log": ["go", "cargo", "pytest"]}


def found(command: str, output: str, exit_code: int | None) -> list[dict[str, Any]]:
    return [
        {name: getattr(run, name) for name in ("framework", "outcome", "passed", "failed", "skipped", "errors")}
        for run in suite_runs(command, output, exit_code)
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_each_recorded_run_has_its_true_counts(name):
    case = EXPECTED[name]
    assert found(case["command"], (OUTPUTS / name).read_text(), case["exit_code"]) == case["runs"]


@pytest.mark.parametrize("name", WRITTEN)
def test_each_written_output_has_its_true_counts(name):
    case = WRITTEN[name]
    assert found(case["command"], case["output"], case["exit_code"]) == case["runs"]


def test_each_runner_has_at_least_five_recorded_runs():
    files = Counter(name.split("-")[0] for name in EXPECTED)
    runners = {"pytest", "xdist", "unittest", "jest", "vitest", "mocha", "playwright", "bun", "node", "prove", "bats", "mix", "ctest", "go", "gotestsum", "cargo", "nextest"}  # fmt: skip
    assert {runner for runner in runners if files[runner] < 5} == set()


@pytest.mark.parametrize("name", CASES)
def test_an_output_of_another_program_is_no_run(name):
    case = CASES[name]
    runs = found(case["command"], case["output"], case["exit_code"])
    assert [run["framework"] for run in runs] == KNOWN_LIMITS.get(name, [])


# Lines that many programs print. They were once taken for test runs.
LINES = {
    "a line ok": "ok  built in 1.2s\n",
    "a line FAIL": "FAIL web-2 did not answer\n",
    "numbered lines": "ok 1 row\nok 2 rows\n",
    "a type error": "src/main.ts(3,5): error TS2322: Type 'string' is not assignable to type 'number'.\n",
    "a failed .NET build": "Build FAILED.\n",
    "a failed Rust build": 'error: could not compile `shop` (bin "shop") due to 1 previous error\n',
    "a failed Maven build": "[ERROR] COMPILATION ERROR : \n",
    "counts with a time": "12 passed, 1 failed in 3.2s\n",
    "a count of rows": "118 passed validation, 2 failed in 3.2s\n",
    "passing": "  12 passing\n  1 failing\n",
    "a plan and its numbers": "1..2\nok 1 - parsed a\nok 2 - parsed b\n",
    "checks": "Ran 3 checks in 0.1s\n\nOK\n",
    "benchmarks": "BenchmarkTotal-8   \t 1000\t  12.1 ns/op\nPASS\nok  \texample.test/shop\t1.203s\n",
}


@pytest.mark.parametrize("command", ["make", "npm test", "./ci.sh", "python3 tasks.py", "docker compose up"])
@pytest.mark.parametrize("line", LINES)
def test_a_line_that_many_programs_print_is_no_run(command, line):
    assert found(command, LINES[line], 1) == []


@pytest.mark.parametrize(
    "command",
    [
        "cargo build", "cargo check", "cargo +nightly clippy", "go build ./...", "go vet ./...", "go test -list . ./a", "go test -c",
        "go test -run '^$' -bench . ./...", "go test -bench=. -run=NONE", "dotnet build", "npm install", "npm --silent ci", "npx playwright install",
        "npx playwright test --list", "mix compile", "bats --count .", "ctest -N", "prove -D", "mocha --list-files", "cargo nextest list",
        "curl -s http://x/ci.log", "ssh -p 22 ci 'tail -30 ci.log | grep passed'", "docker exec -it -u dev shop cat ci.log", "kubectl exec shop -c app -- cat ci.log", "docker logs shop-test-1", "docker compose logs app", "kubectl logs job/shop-test", "journalctl -u ci",
        "sqlite3 ci.db 'select log from runs'", "python3 -c \"print(open('ci.log').read())\"", 'node -e "console.log(log)"',
        "python3 - <<'EOF'\nprint(open('ci.log').read())\nEOF", "npx tsc", "uv run mypy .", "bun install",
    ],
)  # fmt: skip
def test_a_command_that_runs_no_tests_has_no_run_whatever_it_prints(command):
    log = (OUTPUTS / "jest-mixed.txt").read_text() + (OUTPUTS / "pytest-mixed.txt").read_text()
    assert found(command, log, 0) == []


@pytest.mark.parametrize(
    "command",
    ["python3 -c \"import subprocess; subprocess.run(['pytest'])\"", "python3 - <<'EOF'\nimport pytest\npytest.main()\nEOF", "docker run shop pytest", "ssh ci 'cd shop && pytest'", "docker compose exec -T app ./ci.sh", "docker compose run app npm test", "kubectl exec shop -- pytest", "npm run build", "go run ./ci", "cargo xtask ci"],
)  # fmt: skip
def test_a_command_that_may_start_a_runner_counts_with_a_whole_summary(command):
    (run,) = found(command, (OUTPUTS / "pytest-mixed.txt").read_text(), 1)
    assert (run["framework"], run["failed"]) == ("pytest", 1)


def test_only_the_named_runner_is_read():
    output = (OUTPUTS / "jest-mixed.txt").read_text() + "ok  \texample.test/shop\t0.003s\n"
    assert [run["framework"] for run in found("npx jest", output, 1)] == ["jest"]


def test_a_script_beside_a_named_runner_counts_its_own_runs():
    output = (OUTPUTS / "pytest-passing.txt").read_text() + (OUTPUTS / "jest-good.txt").read_text()
    assert [run["framework"] for run in found("pytest && npm test", output, 0)] == ["pytest", "jest"]


def test_the_lines_of_two_services_of_docker_compose_are_kept_apart():
    log = (OUTPUTS / "jest-good.txt").read_text().splitlines()
    output = "".join(f"app-1  | {line}\ndb-1   | checkpoint\n" for line in log)
    assert [run["framework"] for run in found("docker compose up", output, 0)] == ["jest"]


def test_a_node_script_with_an_option_test_is_not_nodes_runner():
    assert found("node cli.js --test", "", 1) == []


BITS = ["\n", " \n", " 1 pass\n", "  1 passing (1s)\n", "ok 1\n", "1..1\n", "1..1\nok 1\n", "# tests 1\n", "Files=1, Tests=1, \n", "a (Wstat: ", "Running 1 test using 1 worker\n", "  1 passed (1s)\n", "Finished in 1 seconds\n", "Finished in 1 seconds (1s async, 1s sync)\n\nTop 1 slowest\n", "Ran 1 test across 1 file. [1s]\n", "1 test, ", "50% tests passed, 1 tests failed out of 2\n", "  1 - a (Skipped)\n", "PHPUnit 9.6 by Sebastian Bergmann\n", "Tests: 1, Assertions: 1.\n", "a-1 | ", "a-1  | \n", "ok  \ta\t1s\n", "Benchmark 1 ", "DONE 1 test in 1s\n", "=== FAIL: a  (", " Test Files  1 passed (1)\n", "Test Suites: 1 total\n", "Tests run: 1, Failures: 0, Errors: 0, Skipped: 0\n", "Total tests: 1\n", "Ran 1 test in 1s\n", "test result: ok. 1 passed; 0 failed; 0 ignored;", "● Test suite failed to run\n", "TAP version 13\n", "1 passed in 1s\n", "F [1%]\n"]  # fmt: skip


@pytest.mark.parametrize("bit", BITS)
def test_the_work_grows_no_faster_than_the_output(bit):
    """The output is three times what is read of it. If the work grew with the square of the length, the test would not end."""
    output = bit * (300_000 // len(bit))
    for command in (
        "make",
        "npx mocha; npx playwright test; bun test; node --test; prove; bats .; mix test; ctest; gotestsum; jest; vitest; pytest; cargo test; dotnet test; mvn test; gradle test; rspec; phpunit; python -m unittest",
    ):
        assert isinstance(found(command, output, 0), list)


def test_every_framework_has_a_recorded_run():
    recorded = {run["framework"] for case in EXPECTED.values() for run in case["runs"]}
    assert set(READERS) - recorded == {"maven", "gradle", "rspec", "phpunit", "dotnet"}  # test_suite_runs.py has them


def test_the_description_of_the_metric_names_every_framework():
    assert [framework for framework in READERS if f"`{framework}`" not in TEST_RUNS.meaning] == []


def test_a_long_chain_of_hosts_never_raises():
    assert found("ssh a " * 5000 + "make", "", 0) == []
