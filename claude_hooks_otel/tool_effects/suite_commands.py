"""What a command does for tests: it runs a framework, it runs no tests, or it may hide a runner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from claude_hooks_otel.tool_effects.git_commands import is_utility
from claude_hooks_otel.tool_effects.shell import SimpleCommand, simple_commands, word_set

# What can come before a runner's name: "uv run pytest", "npx jest", "bundle exec rspec".
_LAUNCHERS = tuple(
    tuple(launcher.split())
    for launcher in (
        "uv run", "poetry run", "pipenv run", "pdm run", "hatch run", "rye run", "pixi run", "pipx run", "uvx",
        "npx", "bunx", "pnpx", "npm exec", "pnpm exec", "pnpm dlx", "yarn dlx", "yarn exec", "bun x",
        "bundle exec", "php", "node", "tsx", "ruby",
    )
)  # fmt: skip
_LAUNCHER_VALUE_OPTIONS = word_set("--with --python -p --package --project --directory --extra --group -d")
_SCRIPT_LAUNCHERS = word_set("yarn pnpm bun")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?|py")
_NODE = word_set("node tsx")
_NODE_VALUE_OPTIONS = word_set("-r --require --import --loader --experimental-loader -C --conditions --test-reporter")
_PROGRAMS = {
    "pytest": "pytest", "py.test": "pytest", "jest": "jest", "jest.js": "jest", "vitest": "vitest", "vitest.mjs": "vitest",
    "mocha": "mocha", "_mocha": "mocha", "mocha.js": "mocha", "prove": "prove", "bats": "bats", "ctest": "ctest",
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
    "playwright": ("playwright", re.compile(r"test")),
    "bun": ("bun", re.compile(r"test")),
    "mix": ("mix", re.compile(r"test")),
    **dict.fromkeys(("mvn", "mvnw", "mvnd"), _MAVEN),
    **dict.fromkeys(("gradle", "gradlew"), _GRADLE),
}
# Build tools that take several goals. A build may have no tests, so without a summary there is no test run.
BUILDS = frozenset({"maven", "gradle"})
# With these options, a runner only shows something or only builds.
_NO_RUN = word_set(
    "--help -h --version --collect-only --co --fixtures --markers --setup-plan --listTests --showConfig --init --no-run --list "
    "--list-tests -list --cache-show"
)
_NO_RUN_OF = {
    "go": word_set("-c -n"),
    "jest": word_set("--clearCache"),
    "mocha": word_set("--list-files --list-reporters --list-interfaces --dry-run"),
    "bats": word_set("--count -c -v"),
    "ctest": word_set("-N --show-only --print-labels"),
    "prove": word_set("-D --dry -H --man -V"),
}
_NO_RUN_SUBCOMMANDS = {"vitest": word_set("list init"), "mocha": word_set("init")}
_NEXTEST_AND_COVERAGE = word_set("nextest llvm-cov")
_CARGO_NO_RUN_SUBCOMMANDS = word_set("archive clean help list report self show-config show-env")
_GO_RUNS_NO_TEST = word_set("^$ $^ ^# # - @ NONE none XXX xxx")
# Other subcommands of build tools that run no program of the project.
_QUIET = {
    "go": word_set("bug build clean doc env fix fmt get help install list mod telemetry version vet work"),
    "cargo": word_set("add b bench build c check clean clippy d doc fetch fix fmt help init install metadata new remove search tree update vendor"),
    "dotnet": word_set("add build clean format help list new nuget pack publish remove restore sln tool"),
    "mix": word_set("archive clean compile deps.get deps.update dialyzer credo format help hex.info local.hex new"),
    "npm": word_set("access audit cache ci config doctor explain fund help i info init install link list login logout ls outdated pack ping prune root search uninstall update version view whoami"),
    "bun": word_set("add build create i init install link outdated pm remove update upgrade why"),
    "playwright": word_set("codegen cr ff help install install-deps open pdf screenshot show-report show-trace uninstall wk"),
    "docker": word_set("build buildx cp events history image images info inspect load login logout logs network ps pull push rm rmi save search stats stop tag top version volume"),
    "kubectl": word_set("apply config create delete describe diff events explain get logs patch rollout scale top version wait"),
    "compose": word_set("build config cp down events images kill logs ls port ps pull push rm stats stop top version volumes"),
}  # fmt: skip
_QUIET |= {
    "pnpm": _QUIET["npm"] | {"add"}, "yarn": _QUIET["npm"] | {"add", "why"}, "podman": _QUIET["docker"], "docker-compose": _QUIET["compose"],
}  # fmt: skip
_OF_CONTAINERS = word_set("compose docker docker-compose kubectl podman")
_ELSEWHERE_VALUE_OPTIONS = word_set(
    "-b -c -D -e --env -F -i -I -J -L -l -m -n --namespace -o -p -R -S -u --user -W -w --workdir --index --container"
)
_MAX_LEVELS = 3  # nobody nests hosts and containers deeper
_RUN_IN_CONTAINERS = word_set("attach debug exec restart run start up watch")
# Programs that run neither tests nor programs of the project: they show, check, install, or talk to a server.
_SHOWS = word_set("""
    ansible ansible-lint ansible-playbook apk apt apt-cache apt-get aws az black brew cmp dnf dpkg eslint flake8 gcloud gunicorn
    helm http https isort journalctl ktlint mongosh mypy mysql mysqldump nginx oc openssl pg_dump pip pip3 pipx prettier psql pylint
    pyright redis-cli rubocop ruff shellcheck shfmt sqlite3 ssh-keygen stern swiftlint systemctl terraform tofu tsc vault xmllint yamllint
    yum
""")
_INLINE = {"python": "c", "node": "ep", "perl": "eE", "ruby": "e", "php": "r"}
# Inline code with one of these may start a runner. The name of a runner alone can be that of a file.
_STARTS = re.compile(
    r"subprocess|child_process|\bexec|spawn|system|popen|Open3|`|%x|pty\.|runpy|import_module|__import__|\bimport\(|\brequire\(['\"]\."
    r"|\bimport +(?:pytest|unittest|doctest)|\bfrom +(?:pytest|unittest)|node:test|\b(?:require|from) *\(?['\"](?:mocha|jest|vitest|tap|rspec)"
    r"|\bTest::|App::Prove|RSpec::"
)


def framework(command: SimpleCommand) -> str | None:
    """Return the framework whose tests a command runs; None if it runs none."""
    found = _named(command)
    return found[0] if found and not _runs_nothing(*found) else None


def may_hide_runner(command: SimpleCommand, level: int = 0) -> bool:
    """Return whether a command may run tests through an unknown program: a script, make, npm, a container.

    Args:
        command: the command.
        level: how many other hosts and containers are around it.
    """
    if command.program in {"git", "gh", "glab"} or is_utility(command) or _named(command) is not None:
        return False
    words = _without_launchers(command.argv) or command.argv
    program, arguments = _base(words[0]), words[1:]
    if program in {"docker", "podman"} and "compose" in arguments:
        program, arguments = "compose", arguments[arguments.index("compose") + 1 :]
    if level < _MAX_LEVELS and (remote := _elsewhere(program, arguments)):
        return any(framework(each) is not None or may_hide_runner(each, level + 1) for each in remote)
    if program in _QUIET:
        operands = [word for word in arguments if not word.startswith(("-", "+"))]
        if program in _OF_CONTAINERS:  # their own options come first, some with a value
            operands = [word for word in operands if word in _QUIET[program] | _RUN_IN_CONTAINERS]
        return not operands or operands[0] not in _QUIET[program]
    return program not in _SHOWS and not _is_plain_code(command)


def _elsewhere(program: str, arguments: Sequence[str]) -> list[SimpleCommand]:
    """Return the commands that ``ssh`` or a container runs, as far as the line shows them."""
    words = list(arguments)
    if program in _OF_CONTAINERS:
        words = words[words.index("exec") + 1 :] if "exec" in words else []
    elif program != "ssh":
        return []
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _ELSEWHERE_VALUE_OPTIONS else 1 :]
    words = words[words.index("--") + 1 :] if "--" in words else words[1:]  # after the host or the container
    return simple_commands(" ".join(words))


def _named(command: SimpleCommand) -> tuple[str, tuple[str, ...]] | None:
    """Return the framework of a command and the arguments of its runner, also if the arguments run no test."""
    if _is_node_test(command.argv):
        return "node", tuple(command.argv[1:])
    words = _without_launchers(command.argv)
    if not words:
        return None
    program, arguments = _base(words[0]), words[1:]
    name = _PROGRAMS.get(program)
    if _PYTHON.fullmatch(program) or program in {"coverage", "coverage3"}:
        option = next((at for at, word in enumerate(words) if re.fullmatch(r"-[A-Za-z]*m", word)), None)
        if option is not None:
            module, arguments = words[option + 1 :][:1], words[option + 2 :]
            if module == ("coverage",) and _PYTHON.fullmatch(program):
                return _named(SimpleCommand(module + arguments))
            name = next((each for each in module if each in _MODULES), None)
        if name is None and any(word.endswith("manage.py") for word in words) and "test" in words:
            name = "unittest"  # Django
    elif (tool := _BUILD_TOOLS.get(program)) is not None:
        tool_name, pattern = tool
        goals = [word for word in arguments if not word.startswith(("-", "+"))]
        chosen = goals if tool_name in BUILDS else goals[:1]
        name = tool_name if any(map(pattern.fullmatch, chosen)) else None
    return None if name is None else (name, arguments)


def _runs_nothing(name: str, arguments: Sequence[str]) -> bool:
    options = {word.partition("=")[0] for word in arguments}
    if not (_NO_RUN | _NO_RUN_OF.get(name, _NO_RUN)).isdisjoint(options):
        return True
    operands = [word for word in arguments if not word.startswith(("-", "+"))]
    if name == "cargo" and operands[0] in _NEXTEST_AND_COVERAGE:
        return not _CARGO_NO_RUN_SUBCOMMANDS.isdisjoint(operands[1:2])
    if not _NO_RUN_SUBCOMMANDS.get(name, frozenset[str]()).isdisjoint(operands[:1]):
        return True
    if name != "go" or not {"-bench", "--bench"} & options:
        return False
    joined = " ".join(arguments)
    run = re.search(r"-run[= ](\S*)", joined)  # benchmarks alone: "-run '^$' -bench ."
    return run is not None and run[1] in _GO_RUNS_NO_TEST


def _is_node_test(argv: Sequence[str]) -> bool:
    """Return whether a command is ``node --test``. After a script's name, the option is the script's."""
    if not argv or _base(argv[0]) not in _NODE:
        return False
    words = iter(argv[1:])
    for word in words:
        if word == "--test":
            return True
        if word in _NODE_VALUE_OPTIONS:
            next(words, None)
        elif not word.startswith("-"):
            return False
    return False


def _without_launchers(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the words without launchers before the runner."""
    words = tuple(argv)
    while launcher := next((each for each in _LAUNCHERS if words[: len(each)] == each), ()):
        words = words[len(launcher) :]
        while words and words[0].startswith("-"):
            words = words[2 if words[0] in _LAUNCHER_VALUE_OPTIONS else 1 :]
    if len(words) > 1 and words[0] in _SCRIPT_LAUNCHERS and (words[1] in _PROGRAMS or words[1] == "playwright"):
        words = words[1:]
    return words


def _is_plain_code(command: SimpleCommand) -> bool:
    """Return whether an interpreter runs code from the command line that names no runner and starts no process."""
    program = "python" if _PYTHON.fullmatch(command.program) else command.program
    if program not in _INLINE:
        return False
    option = re.compile(rf"-[A-Za-z]*[{_INLINE[program]}]|--eval|--print")
    for at, word in enumerate(command.argv[1:-1], 1):
        if option.fullmatch(word):
            return not _STARTS.search(command.argv[at + 1])
        if not word.startswith("-"):
            break
    code = command.stdin if set(command.argv[1:]) <= {"-"} else None
    return code is not None and not _STARTS.search(code)


def _base(word: str) -> str:
    return re.split(r"[/\\]", word)[-1]
