"""The real client, isolated: a fresh HOME, a scripted API, an OTLP receiver, and only the loopback network.

``play`` starts one scenario as a process in new network and process namespaces and returns its findings. ``World`` is the
environment of a scenario. It is made from scratch, so the Claude configuration of the machine has no effect.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from claude_hooks_otel.home.paths import Home
from tests.support.client.scripted_api import ScriptedApi, Turn
from tests.support.client.truth import Totals, client_records, client_totals, our_spans, our_totals
from tests.support.client.versions import BINARY_VARIABLE, CACHE, RECORDED, aligned, binary, version_of
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import log_records, spans
from tests.support.places import ROOT
from tests.support.terminal import Terminal

_NAMESPACES = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
# Names which events ``install`` registers in the worlds of a scenario.
EVENTS_VARIABLE = "CLAUDE_HOOKS_OTEL_TEST_EVENTS"
# Seconds that a whole scenario may take.
LONGEST_SCENARIO = 240
# Seconds to wait until the receiver has everything. The daemon needs about six seconds after the end of a session.
RECEIVER_TIMEOUT = 30.0


def missing(version: str = RECORDED) -> str | None:
    """Return why a version of the client cannot run here, or None if it can."""
    if binary(version) is None:
        return (
            f"no Claude Code {version}: .ci/run installs it next to {CACHE}. {BINARY_VARIABLE} can name another client."
        )
    return None if _has_namespaces() else "this machine does not allow network and process namespaces"


@functools.cache
def _has_namespaces() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode
    )


def play(
    scenario: str,
    folder: Path,
    *arguments: str,
    version: str = RECORDED,
    events: str = "full",
    timeout: float = LONGEST_SCENARIO,
) -> dict[str, Any]:
    """Run a scenario of ``scenarios.py`` in its own namespaces, with a version of the client, and return its findings.

    Args:
        scenario: its name.
        folder: the folder of its world.
        arguments: what it takes.
        version: the client's.
        events: which events ``install`` registers, ``full`` or ``light``.
        timeout: how many seconds it may take.
    """
    command = [
        *_NAMESPACES,
        "--",
        sys.executable,
        "-m",
        "tests.support.client.scenarios",
        scenario,
        str(folder),
        *arguments,
    ]
    done = subprocess.run(
        command, env=os.environ | {BINARY_VARIABLE: str(binary(version)), EVENTS_VARIABLE: events},
        capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{scenario} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    findings: dict[str, Any] = json.loads(done.stdout)
    return findings


@dataclass(frozen=True)
class Ended:
    """How one run of the client ended: its exit code and its output (``--output-format json``)."""

    code: int
    seconds: float
    result: dict[str, Any]
    errors: str

    @property
    def session_id(self) -> str:
        return str(self.result["session_id"])


@dataclass
class World:
    """The environment of a scenario, a context manager. It works only inside the namespaces.

    Attributes:
        folder: the folder of everything.
        scripts: the API's scripts by name.
        export: whether our daemon has an endpoint.
        hooks: ``settings`` (our CLI writes them), ``plugin`` (--plugin-dir), or ``none``.
        telemetry: whether the client's own telemetry goes to the receiver.
    """

    folder: Path
    scripts: Mapping[str, Sequence[Turn]]
    export: bool = True
    hooks: str = "settings"
    telemetry: bool = True
    version: tuple[int, ...] = field(init=False)
    receiver: OtlpReceiver = field(init=False)
    api: ScriptedApi = field(init=False)

    def __enter__(self) -> Self:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.user, self.project = self.folder / "user", self.folder / "shop"
        (self.user / ".claude").mkdir(parents=True)
        self.project.mkdir()
        client = binary()
        assert client is not None, missing()
        self.binary, self.version = client, version_of(client)
        self.home = Home.from_environment({"HOME": str(self.user)})
        self._stack = ExitStack()
        self.receiver = self._stack.enter_context(OtlpReceiver())
        self.api = self._stack.enter_context(ScriptedApi(self.scripts))
        self._git()
        if self.hooks != "none":
            self._install()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hooks != "none":
            self.command("daemon", "--stop")
        self._stack.close()

    def _git(self) -> None:
        (self.user / ".gitconfig").write_text(
            "[user]\n\tname = Dev\n\temail = dev@example.test\n[init]\n\tdefaultBranch = main\n"
        )
        (self.project / "calc.py").write_text("def add(a, b):\n    return a - b\n")
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
            subprocess.run(["git", *arguments], cwd=self.project, env=self.environ(), check=True, capture_output=True)

    def _install(self) -> None:
        arguments = ["--agent", "backend", "--project", "shop"]
        if self.export:
            arguments += ["--endpoint", self.receiver.http_endpoint, "--protocol", "http/protobuf"]
        if self.hooks == "plugin":
            arguments += ["--plugin"]
        else:
            arguments += ["--events", os.environ.get(EVENTS_VARIABLE, "full")]
        self.command("install", "--settings", str(self.user / ".claude" / "settings.json"), *arguments)

    def environ(self) -> dict[str, str]:
        """Return the environment of a user's terminal. Only PATH comes from this process."""
        return {
            "HOME": str(self.user),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "IS_SANDBOX": "1",
            "ANTHROPIC_BASE_URL": self.api.url,
            "ANTHROPIC_API_KEY": "sk-ant-not-a-key",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            **(self._telemetry() if self.telemetry else {}),
        }

    def _telemetry(self) -> dict[str, str]:
        return {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.grpc_endpoint,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_LOGS_EXPORT_INTERVAL": "500",
            "OTEL_LOG_TOOL_DETAILS": "1",
        }

    def command(self, *arguments: str) -> str:
        """Run ``claude-hooks-otel`` as a user would, without the client's telemetry settings, and return its output."""
        environ = {name: value for name, value in self.environ().items() if not name.startswith("OTEL_")}
        environ["COLUMNS"] = "200"  # a terminal so wide that no table is cut
        cli = [str(Path(sys.executable).with_name("claude-hooks-otel")), *arguments]
        done = subprocess.run(
            cli, cwd=self.project, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    # -- the client ----------------------------------------------------------------------------------------------------

    def start(self, prompt: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start one ``-p`` session."""
        command = [str(self.binary), "-p", prompt, "--output-format", "json", "--dangerously-skip-permissions"]
        if "--model" not in arguments:
            command += ["--model", "claude-sonnet-4-5"]
        if self.hooks == "plugin":
            command += ["--plugin-dir", str(ROOT)]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.project,
            env=self.environ() | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def terminal(self, *arguments: str, **environ: str | None) -> Terminal:
        """Return an interactive session, to be entered. What a first start asks is answered: the theme, the API key, whether the folder is trusted.

        Args:
            arguments: those of the client.
            environ: variables of this session; None removes one.
        """
        state = {
            "hasCompletedOnboarding": True,
            "lastOnboardingVersion": ".".join(map(str, self.version)),
            "theme": "dark",
            "numStartups": 5,
            "customApiKeyResponses": {"approved": ["sk-ant-not-a-key"], "rejected": []},
            "projects": {str(self.project): {"hasTrustDialogAccepted": True, "projectOnboardingSeenCount": 9}},
        }
        (self.user / ".claude.json").write_text(json.dumps(state))
        given = {name: text for name, text in (self.environ() | environ).items() if text is not None}
        return Terminal(self.folder, [str(self.binary), *arguments], given, cwd=self.project)

    def run(self, prompt: str, *arguments: str, **environ: str) -> Ended:
        """Run one ``-p`` session from start to end."""
        began = time.perf_counter()
        return self.end(self.start(prompt, *arguments, **environ), began)

    def end(self, process: subprocess.Popen[str], began: float | None = None) -> Ended:
        """Wait until a session ends. ``began`` is when it was started, by ``time.perf_counter``."""
        output, errors = process.communicate(timeout=90)
        seconds = 0.0 if began is None else time.perf_counter() - began
        result = json.loads(output) if output.startswith("{") else {}
        return Ended(process.returncode, seconds, result, errors)

    def end_in_tool(self, prompt: str, flag: Path, number: signal.Signals) -> int:
        """Run a session that gets a signal while its tool runs, and return its exit code. The tool makes the file ``flag``."""
        process = self.start(prompt)
        wait_until(flag.exists)
        process.send_signal(number)
        process.communicate(timeout=60)
        flag.unlink()
        return process.returncode

    # -- the client's telemetry and ours -----------------------------------------------------------------------------------

    def totals(self, ready: Callable[[Totals, Totals], bool]) -> dict[str, Any]:
        """Return the client's totals and ours, once ``ready(client's, ours)`` or after a timeout, and what the API charged.

        Both are without the known differences of the client's version.
        """
        try:
            self.receiver.wait_for(lambda it: ready(*self._aligned(it)), RECEIVER_TIMEOUT)
        except TimeoutError:
            pass  # the test then shows what differs
        client, ours = self._aligned(self.receiver)
        return {
            "client": client,
            "ours": ours,
            "charged": [{"model": charge.model, **vars(charge.usage)} for charge in self.api.charges],
            "labels": sorted(
                {json.dumps([p.attributes.get("agent"), p.attributes.get("project")]) for p in _ours(self.receiver)}
            ),
        }

    def _aligned(self, receiver: OtlpReceiver) -> tuple[Totals, Totals]:
        return aligned(self.version, client_totals(receiver), our_totals(receiver), self.api.charges)

    def traces(self) -> dict[str, Any]:
        """Return the client's calls and requests and ours, once they are the same ones and the session ended or after a timeout.

        ``nested`` has the name of each span with the name of its parent.
        """
        try:
            self.receiver.wait_for(
                lambda it: (
                    client_records(it)["calls"]
                    and all(our_spans(it)[kind].keys() == told.keys() for kind, told in client_records(it).items())
                    and any(record.event_name == "claude.session.end" for record in log_records(it))
                ),
                RECEIVER_TIMEOUT,
            )
        except TimeoutError:
            pass  # the test then shows what differs
        found = {span.span_id: span for span in spans(self.receiver)}
        return {
            "client": client_records(self.receiver),
            "ours": our_spans(self.receiver),
            "nested": sorted(
                [span.name, found[span.parent_span_id].name] for span in found.values() if span.parent_span_id in found
            ),
            "sent": len(spans(self.receiver)),
            "different": len(found),
            "events": sorted(
                record.event_name for record in log_records(self.receiver) if record.event_name.startswith("claude.")
            ),
        }


def _ours(receiver: OtlpReceiver) -> list[Any]:
    """Return our points that belong to a session. Metrics of the daemon's own health have no agent."""
    return [p for p in receiver.metrics if p.name.startswith("claude.") and not p.name.startswith("claude.hooks.")]


def wait_until(condition: Callable[[], Any], timeout: float = 60.0) -> None:
    """Wait for a condition of another process that sends no event when it becomes true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition was not true within {timeout} s")
        time.sleep(0.01)
