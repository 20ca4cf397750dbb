"""The command line shows test runs, and the output of the frameworks shows their counts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.tool_effects.suite_outputs import READERS
from claude_hooks_otel.tool_effects.suite_runs import SuiteRun, suite_runs
from tests.support.places import DATA

OUTPUTS = DATA / "suite_runs"

# recorded output, command line, exit code → framework, outcome, passed, failed, skipped, errors, coverage
RECORDED = [
    ("pytest-passing", "pytest test_good.py", 0, ("pytest", "passed", 2, 0, 0, 0, None)),
    ("pytest-passing-quiet", "python -m pytest -q", 0, ("pytest", "passed", 2, 0, 0, 0, None)),
    ("pytest-mixed", "uv run --with x pytest", 1, ("pytest", "failed", 2, 1, 2, 1, None)),
    ("pytest-mixed-colour", "py.test --color=yes | tail -20", 0, ("pytest", "failed", 2, 1, 2, 1, None)),
    ("pytest-collection-error", "cd x && pytest bad", 2, ("pytest", "error", 0, 0, 0, 1, None)),
    ("pytest-none", "pytest -k nothing", 5, ("pytest", "error", 0, 0, 0, 0, None)),
    ("pytest-coverage", "pytest --cov", 0, ("pytest", "passed", 2, 0, 0, 0, 75.0)),
    ("pytest-coverage-branch", "pytest --cov --cov-branch", 0, ("pytest", "passed", 2, 0, 0, 0, 75.0)),
    ("pytest-xdist", "poetry run pytest -n 2", 1, ("pytest", "failed", 2, 1, 2, 1, None)),
    ("pytest-usage-error", "pytest --nosuch", 4, ("pytest", "error", 0, 0, 0, 0, None)),
    ("unittest-passing", "python3 -m unittest ut_good", 0, ("unittest", "passed", 2, 0, 0, 0, None)),
    ("unittest-mixed", "python3.11 -Wm unittest", 1, ("unittest", "failed", 1, 1, 2, 1, None)),
    ("unittest-import-error", "python -m unittest nothere", 1, ("unittest", "error", 0, 0, 0, 1, None)),
    ("unittest-none", "python -m unittest", 0, ("unittest", "passed", 0, 0, 0, 0, None)),
    ("unittest-coverage", "coverage run -m unittest && coverage report", 0, ("unittest", "passed", 2, 0, 0, 0, 100.0)),
    ("unittest-passing", "python manage.py test", 0, ("unittest", "passed", 2, 0, 0, 0, None)),
    ("go-passing", "go test ./a", 0, ("go", "passed", 0, 0, 0, 0, None)),
    ("go-passing-verbose", "go test -v ./a", 0, ("go", "passed", 2, 0, 1, 0, None)),
    ("go-passing-cached", "go test ./a", 0, ("go", "passed", 0, 0, 0, 0, None)),
    ("go-mixed", "go test ./...", 1, ("go", "failed", 0, 2, 0, 1, None)),
    ("go-mixed-verbose", "go test -v ./a ./b", 1, ("go", "failed", 3, 2, 1, 0, None)),
    ("go-build-error", "go test ./c", 1, ("go", "error", 0, 0, 0, 1, None)),
    ("go-coverage", "go test -cover ./a", 0, ("go", "passed", 0, 0, 0, 0, 50.0)),
    ("go-no-test-files", "go test ./d", 0, ("go", "passed", 0, 0, 0, 0, None)),
    ("go-json", "go test -json ./a ./b", 1, ("go", "failed", 3, 2, 1, 0, None)),
    (
        "go-coverage-total",
        "go test -coverprofile=c.out ./... && go tool cover -func=c.out",
        0,
        ("go", "passed", 0, 0, 0, 0, 50.0),
    ),
    ("gotestsum-mixed", "gotestsum ./...", 1, ("go", "failed", 4, 2, 1, 0, None)),
    ("cargo-passing", "cargo test", 0, ("cargo", "passed", 3, 0, 1, 0, None)),
    ("cargo-mixed", "cargo +stable t", 101, ("cargo", "failed", 2, 1, 1, 0, None)),
    ("cargo-build-error", "cargo test", 101, ("cargo", "error", 0, 0, 0, 1, None)),
    ("nextest-mixed", "cargo nextest run", 100, ("cargo", "failed", 4, 2, 1, 0, None)),
    ("jest-passing", "npx jest good", 0, ("jest", "passed", 2, 0, 0, 0, None)),
    ("jest-mixed", "yarn jest", 1, ("jest", "failed", 3, 1, 2, 0, None)),
    (
        "jest-mixed-colour",
        "node --experimental-vm-modules node_modules/.bin/jest",
        1,
        ("jest", "failed", 3, 1, 2, 0, None),
    ),
    ("jest-suite-error", "node_modules/.bin/jest", 1, ("jest", "error", 2, 0, 0, 1, None)),
    ("jest-coverage", "jest --coverage", 0, ("jest", "passed", 2, 0, 0, 0, 100.0)),
    ("jest-none", "npx jest nothing", 1, ("jest", "error", 0, 0, 0, 0, None)),
    ("npm-test-jest", "npm test -- good", 0, ("jest", "passed", 2, 0, 0, 0, None)),
    ("vitest-passing", "npx vitest run", 0, ("vitest", "passed", 2, 0, 0, 0, None)),
    ("vitest-mixed", "pnpm vitest run", 1, ("vitest", "failed", 3, 1, 2, 0, None)),
    ("vitest-mixed-colour", "pnpm exec vitest run", 1, ("vitest", "failed", 3, 1, 2, 0, None)),
    ("vitest-suite-error", "npx vitest run", 1, ("vitest", "error", 2, 0, 0, 1, None)),
    ("vitest-unhandled-error", "npx vitest run", 1, ("vitest", "error", 1, 0, 0, 1, None)),
    ("vitest-coverage", "npx vitest run --coverage", 0, ("vitest", "passed", 2, 0, 0, 0, 100.0)),
    ("vitest-worker-error", "npx vitest run --coverage", 1, ("vitest", "error", 0, 0, 0, 1, 0.0)),
    ("vitest-none", "npx vitest run nothing", 1, ("vitest", "error", 0, 0, 0, 0, None)),
    ("npm-test-vitest", "npm run test", 0, ("vitest", "passed", 2, 0, 0, 0, None)),
    ("rspec-passing", "bundle exec rspec", 0, ("rspec", "passed", 2, 0, 0, 0, None)),
    ("rspec-mixed", "rspec", 1, ("rspec", "failed", 1, 1, 1, 0, None)),
    ("rspec-mixed-colour", "bin/rspec --force-color", 1, ("rspec", "failed", 1, 1, 1, 0, None)),
    ("rspec-load-error", "rspec", 1, ("rspec", "error", 0, 0, 0, 1, None)),
    ("rspec-none", "rspec -e nothing", 0, ("rspec", "passed", 0, 0, 0, 0, None)),
    ("phpunit-passing", "vendor/bin/phpunit", 0, ("phpunit", "passed", 2, 0, 0, 0, None)),
    ("phpunit-mixed", "php vendor/bin/phpunit", 2, ("phpunit", "failed", 2, 1, 2, 1, None)),
    ("phpunit-mixed-colour", "composer test", 2, ("phpunit", "failed", 2, 1, 2, 1, None)),
    ("phpunit-skipped", "phpunit", 0, ("phpunit", "passed", 1, 0, 1, 0, None)),
    ("phpunit-none", "phpunit --filter nothing", 0, ("phpunit", "passed", 0, 0, 0, 0, None)),
    ("maven-passing", "mvn -B test -Dtest=GoodTest", 0, ("maven", "passed", 2, 0, 0, 0, None)),
    ("maven-mixed", "./mvnw verify", 1, ("maven", "failed", 3, 1, 1, 1, None)),
    ("maven-mixed-colour", "mvn test", 1, ("maven", "failed", 3, 1, 1, 1, None)),
    ("maven-build-error", "mvn test", 1, ("maven", "error", 0, 0, 0, 1, None)),
    ("gradle-failed", "./gradlew test", 1, ("gradle", "failed", 6, 1, 2, 0, None)),
    ("gradle-logged", "gradle :app:check", 1, ("gradle", "failed", 2, 1, 1, 0, None)),
    ("dotnet-assemblies", "dotnet test", 1, ("dotnet", "failed", 46, 1, 2, 0, None)),
    ("dotnet-summary", "dotnet test --no-build", 1, ("dotnet", "failed", 14, 1, 2, 0, None)),
    ("dotnet-long", "dotnet test", 1, ("dotnet", "failed", 3, 1, 1, 0, None)),
    ("dotnet-build-error", "dotnet test", 1, ("dotnet", "error", 0, 0, 0, 1, None)),
]


def recorded(name: str) -> str:
    return (OUTPUTS / f"{name}.txt").read_text()


@pytest.mark.parametrize(("name", "command", "exit_code", "expected"), RECORDED, ids=lambda value: str(value)[:40])
def test_each_recorded_run_is_counted_as_the_framework_counts_it(name, command, exit_code, expected):
    assert suite_runs(command, recorded(name), exit_code) == [SuiteRun(*expected)]


def test_every_recorded_output_is_in_the_table():
    used_below = {"pytest-two-runs", "gradle-silent"}
    expected = {name.removesuffix(".txt") for name in json.loads((OUTPUTS / "expected.json").read_text())}
    assert {path.stem for path in OUTPUTS.glob("*.txt")} == {name for name, *_ in RECORDED} | used_below | expected


def test_two_runs_in_one_call_count_as_two():
    found = suite_runs("pytest -q a; pytest -q b", recorded("pytest-two-runs"), 1)
    assert [(run.outcome, run.passed) for run in found] == [("passed", 2), ("failed", 2)]


def test_runs_of_two_frameworks_come_in_the_order_of_their_summaries():
    output = recorded("jest-mixed") + recorded("pytest-coverage")
    found = suite_runs("npx jest; pytest --cov", output, 0)
    assert [(run.framework, run.coverage_percent) for run in found] == [("jest", None), ("pytest", 75.0)]


def test_a_summary_in_the_output_of_an_unknown_program_counts_as_a_run():
    for command in (
        "npm test",
        "make check",
        "./run-tests.sh",
        "tox -e py311",
        "docker compose run app test",
        "python run_tests.py",
    ):
        assert [run.framework for run in suite_runs(command, recorded("pytest-mixed"), 1)] == ["pytest"], command


@pytest.mark.parametrize(
    "command",
    [
        "cat pytest.log",
        "tail -5 out.txt",
        "echo 'pytest'",
        "grep passed log",
        "# pytest",
        "git log -1",
        "ls; head jest.txt",
        "",
    ],
)
def test_a_command_that_only_shows_an_old_output_is_no_run(command):
    assert suite_runs(command, recorded("pytest-mixed") + recorded("jest-mixed"), 0) == []


@pytest.mark.parametrize(
    "command",
    ["pytest --version", "pytest --collect-only -q", "jest --listTests", "vitest list", "go test -c ./a", "cargo test --no-run", "mvn clean", "gradle assemble", "go build ./...", "dotnet build", "cargo build", "python -m pip install pytest"],
)  # fmt: skip
def test_a_runner_that_starts_no_tests_is_no_run(command):
    assert suite_runs(command, "", 0) == []


@pytest.mark.parametrize(
    ("command", "exit_code", "outcome"),
    [
        ("pytest > log 2>&1", 0, "passed"),
        ("cd x && pytest > log", 1, "error"),
        ("pytest > log; echo done", 0, None),
        ("pytest > log || true", 0, None),
        ("pytest", 127, None),
        ("pytest", None, None),
        ("make && pytest", 2, None),
        ("./gradlew test", 0, None),
        ("pytest > a && pytest > b", 0, None),
    ],
)
def test_a_run_without_a_summary_counts_only_if_the_exit_code_is_its_own(command, exit_code, outcome):
    expected = [] if outcome is None else [SuiteRun("pytest", outcome, 0, 0, 0, 0, None)]
    assert suite_runs(command, "", exit_code) == expected


def test_a_gradle_build_without_a_summary_is_no_run():
    assert suite_runs("./gradlew build", recorded("gradle-silent"), 0) == []


def test_the_end_of_a_cut_output_still_counts():
    output = recorded("pytest-mixed")
    assert suite_runs("pytest", output[len(output) // 2 :], 1)[0].failed == 1


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("TOTAL         4      1    75%", 75.0),
        ("TOTAL                   120     12      8      2    89.5%", 89.5),
        ("All files |   85.7 |      60 |     50 |   91.3 |", 91.3),
        ("total:\t\t\t(statements)\t\t66.7%", 66.7),
        ("Line Coverage: 85.71% (6 / 7)", 85.71),
        ("Coverage report generated for RSpec to /home/dev/shop/coverage. 6 / 7 LOC (85.71%) covered.", 85.71),
        ("  Lines:   85.71% ( 6/ 7)", 85.71),
        ("TOTAL   10   2   80.00%   5   1   80.00%   40   4   90.00%   0   0   -", 90.0),
        ("85.71% coverage, 6/7 lines covered", 85.71),
    ],
)
def test_the_total_of_each_coverage_tool_is_read(line, percent):
    (run,) = suite_runs("pytest", f"{line}\n2 passed in 0.05s\n", 0)
    assert run.coverage_percent == percent


def test_an_invalid_percentage_is_no_coverage():
    (run,) = suite_runs("pytest", "TOTAL  4  1  7.5.1%\n2 passed in 0.05s\n", 0)
    assert run.coverage_percent is None


def test_several_go_packages_have_no_total_coverage():
    line = "ok  \texample.test/shop/{}\t0.003s\tcoverage: 50.0% of statements\n"
    (run,) = suite_runs("go test -cover ./...", line.format("a") + line.format("b"), 0)
    assert run.coverage_percent is None


def test_a_go_package_that_panics_is_an_error():
    (run,) = suite_runs("go test ./a", "panic: boom\nFAIL\texample.test/shop/a\t0.003s\nFAIL\n", 1)
    assert (run.outcome, run.errors) == ("error", 1)


WORDS = st.sampled_from(
    ["Tests:", "Tests", " 1 passed", " 2 failed", ",", "|", "\n", "=", " in 0.1s", "Ran 3 tests in 0.1s", "\n\nOK", "FAILED (", "failures=1)", "ok \t", "--- FAIL: ", "TOTAL", " 5", "%", "Test Suites: ", " total", "(3)", "\x1b[31m", "{", "1 example, 0 failures"]
)  # fmt: skip


@given(st.text(max_size=20), st.lists(WORDS, max_size=30), st.none() | st.integers(-5, 300))
def test_no_output_raises(command, words, exit_code):
    for line in (command, "make", *(f"{framework} test" for framework in READERS)):
        for run in suite_runs(line, "".join(words), exit_code):
            assert min(run.passed, run.failed, run.skipped, run.errors) >= 0


@pytest.mark.parametrize("bit", ["1 passed, ", "Test Suites: 1 failed\n", " Tests  1 passed\n", "a > b ", "--- FAIL: x\n", "Tests run: 1, ", '{"Action":"pass"', "= ", "Ran 1 test in 0.1s\n\n"])  # fmt: skip
def test_the_work_for_a_repetitive_output_grows_no_faster_than_its_length(bit):
    """The output is ten times what the client hands on. If the work grew with the square of the length, the test would not end."""
    assert isinstance(suite_runs("make", bit * (300_000 // len(bit)), 0), list)
