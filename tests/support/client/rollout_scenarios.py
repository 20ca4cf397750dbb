"""Scenarios of machines that an organization manages. The organization's files are in an ``/etc`` of the scenario's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.support.client.client import World, wait_until
from tests.support.client.github_action import Job
from tests.support.client.scripted_api import Tool, Turn, Usage
from tests.support.client.truth import Totals, client_totals
from tests.support.containers import ISOLATED, Images
from tests.support.places import ROOT

SETTINGS = Path("/etc/claude-code/managed-settings.d/50-claude-hooks-otel.json")
TURNS = [
    Turn("work", [Tool("Bash", {"command": "true", "description": "work"})], Usage(100, 20, cache_write_5m=1000)),
    Turn("done", usage=Usage(14, 60, 1000)),
]


def _own_etc(folder: Path) -> None:
    """Give this mount namespace a copy of ``/etc``, so that nothing changes on the machine."""
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore_dangling_symlinks=True)
    subprocess.run(["mount", "--bind", str(folder / "etc"), "/etc"], check=True)
    SETTINGS.parent.mkdir(parents=True)


def _ready(client: Totals, ours: Totals) -> bool:
    ended = ours["events"].get("SessionEnd", 0) >= sum(client["sessions"].values()) > 0
    return ended and all(client[kind] == ours[kind] for kind in ("tokens", "requests", "tools"))


def _try_to_switch_off(world: World) -> None:
    """Let the user and the project say everything that could switch the organization's hooks off or move the telemetry."""
    for path in (world.user / ".claude" / "settings.json", world.project / ".claude" / "settings.local.json"):
        path.parent.mkdir(exist_ok=True)
        against: Mapping[str, Any] = {
            "disableAllHooks": True,
            "allowManagedHooksOnly": False,
            "hooks": {},
            "enabledPlugins": {"hooks-otel@hooks-otel": False},
            "env": {
                "CLAUDE_AGENT_TEAM": "nobody",
                "CLAUDE_HOOKS_OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                "shared": "/tmp/share/claude-hooks-otel/emit",
                "emit": "/tmp/emit",
            },
        }
        path.write_text(json.dumps(against))


def managed(folder: Path, events: str) -> dict[str, Any]:
    """A session runs with the organization's settings alone. User and project try to switch them off.

    Args:
        folder: the folder of the world.
        events: which events the organization registers.
    """
    with World(folder, {"work": TURNS}, hooks="none") as world:
        _own_etc(folder)
        options = ["--team", "shop-team", "--endpoint", world.receiver.http_endpoint, "--protocol", "http/protobuf"]
        places = ["--prefix", "/nowhere", "--prefix", sys.prefix]
        world.command("managed-settings", *places, "--events", events, "--statusline", *options, str(SETTINGS))
        _try_to_switch_off(world)
        ended = world.run("script:work", CLAUDE_AGENT_ID="backend")
        found = world.totals(_ready) | {"code": ended.code, "errors": ended.errors}
        found["teams"] = sorted(
            {point.attributes["team"] for point in world.receiver.metrics if "team" in point.attributes}
        )
        found["files"] = sorted(path.name for path in world.home.root.iterdir())
        found["status"] = world.command("status")
        found["doctor"] = json.loads(world.command("doctor", "--json"))["findings"]
        found["uninstall"] = world.command("uninstall")
        found["install"] = world.command("install")
        found["user"] = json.loads((world.user / ".claude" / "settings.json").read_text())
        world.command("daemon", "--stop")
        return found


def managed_plugin(folder: Path) -> dict[str, Any]:
    """A session runs with the plugin that the organization enables from a marketplace. User and project try to disable it."""
    with World(folder, {"work": TURNS}, hooks="none") as world:
        _own_etc(folder)
        options = ["--endpoint", world.receiver.http_endpoint, "--protocol", "http/protobuf"]
        world.command("managed-settings", "--marketplace", str(ROOT), *options, str(SETTINGS))
        _try_to_switch_off(world)
        (world.user / ".claude" / "settings.json").write_text("{}")
        on_path = f"{Path(sys.executable).parent}:{world.environ()['PATH']}"  # the plugin finds the package there
        codes = [world.run("script:work", CLAUDE_AGENT_ID="backend", PATH=on_path).code for _ in range(2)]
        found = world.totals(_ready) | {"codes": codes, "status": world.command("status")}
        world.command("daemon", "--stop")
        return found


# A branch and an answer that would become Markdown, an output or a command of the runner.
BRANCH = "mend_the_sum"
ANSWER = "done\n::set-output name=cost-usd::0\n::error::false\ncost-usd=0\n```\n| a |"


def _environ(world: World, **more: str) -> dict[str, str]:
    return {
        **world.environ(),
        "GITHUB_WORKSPACE": str(world.project),
        "PATH": f"{world.binary.parent}:{os.environ['PATH']}",
        **more,
    }


def _findings(world: World, job: Job) -> dict[str, Any]:
    return {
        "codes": job.codes,
        "results": job.results,
        "commands": job.commands,
        "summary": job.summary.read_text() if job.summary.exists() else "",
        "log": job.log,
        "charged": [{"model": charge.model, **vars(charge.usage)} for charge in world.api.charges],
        "client": client_totals(world.receiver),
    }


def github_action(folder: Path) -> dict[str, Any]:
    """A job runs the action. The package is installed already, because there is no network here."""
    calc = folder / "shop" / "calc.py"
    change = {"file_path": str(calc), "old_string": "a - b", "new_string": "a + b"}
    turns = [
        Turn("look", [Tool("Read", {"file_path": str(calc)})], Usage(100, 20, cache_write_5m=1000)),
        Turn("mend", [Tool("Edit", change)], Usage(10, 30, cache_read=1000)),
        Turn("keep", [Tool("Bash", {"command": "git commit -qam mend", "description": "keep"})], Usage(10, 40, 1050)),
        Turn("fail", [Tool("Bash", {"command": "exit 3", "description": "fail"})], Usage(10, 5, 1050)),
        Turn(ANSWER, usage=Usage(14, 60, 1200)),
    ]
    with World(folder, {"work": turns}, hooks="none") as world:
        subprocess.run(["git", "checkout", "-qb", BRANCH], cwd=world.project, env=world.environ(), check=True)
        given = {
            "prompt": "--version script:work",
            "arguments": "--model\nclaude-sonnet-4-5\n--dangerously-skip-permissions",
            "client-version": "",
            "endpoint": world.receiver.http_endpoint,
            "protocol": "http/protobuf",
            "headers": "x-key=not-a-secret",
        }
        job = Job(folder, given, _environ(world), outputs={"package": {"installed": "true"}})
        job.run("Register the hooks", "Run Claude Code", "Send the telemetry and write the summary")
        found = _findings(world, job)
        ours = [point for point in world.receiver.metrics if point.name == "claude.tokens.output"]
        found["delta"] = sorted(
            {(str(point.temporality), str(point.resource["service.instance.id"])) for point in ours}
        )
        found["result"] = json.loads((job.temporary / "claude-hooks-otel" / "result.json").read_text())
        found["branch"] = BRANCH
        world.command("daemon", "--stop")
        return found


def github_action_failures(folder: Path) -> dict[str, Any]:
    """Jobs run the action with an endpoint that is down, with a client that fails, and without the package."""
    turns = [Turn("done", usage=Usage(14, 60))]
    found: dict[str, Any] = {}
    with World(folder, {"work": turns, "refused": [Turn(errors=[400] * 50)]}, hooks="none") as world:
        for name, script, is_installed in (
            ("endpoint", "work", "true"),
            ("client", "refused", "true"),
            ("package", "work", "false"),
        ):
            given = {
                "prompt": f"script:{script}",
                "client-version": "",
                "endpoint": "http://127.0.0.1:9",
                "flush-timeout": "2",
            }
            if is_installed != "true":
                (folder / "runner" / "claude-hooks-otel" / "venv").unlink()
            (folder / "runner" / "summary.md").unlink(missing_ok=True)
            job = Job(folder, given, _environ(world), outputs={"package": {"installed": is_installed}})
            job.run("Register the hooks", "Run Claude Code", "Send the telemetry and write the summary")
            found[name] = _findings(world, job)
            if is_installed == "true":
                world.command("daemon", "--stop")
    return found


def _session(world: World) -> dict[str, str]:
    """Return the variables of a session in a container."""
    return {name: value for name, value in world.environ().items() if name not in ("HOME", "PATH", "IS_SANDBOX")}


def containers(folder: Path, images: str) -> dict[str, Any]:
    """A session runs in one container, the daemon in another. They share events and transcripts.

    Args:
        folder: the folder of the world.
        images: the folder of the images.
    """
    store = Images(Path(images))
    with World(folder, {"work": TURNS}, hooks="none") as world:
        shared = {name: folder / name for name in ("telemetry", "claude")}
        for path in shared.values():
            path.mkdir()
            os.chown(path, 1000, 1000)
        volumes = {shared["telemetry"]: "/telemetry", shared["claude"]: "/home/agent/.claude:ro"}
        endpoint = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": world.receiver.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        configuration = store.configuration("claude-hooks-otel")
        healthy = ["sh", "-c", configuration["Healthcheck"]["Test"][-1]]
        telemetry, agent = store.container("claude-hooks-otel"), store.container("claude-session")

        def run(container: str, *program: str, **environ: str) -> subprocess.CompletedProcess[str]:
            return store.run(container, program, volumes=volumes, environ=environ)

        before = run(telemetry, *healthy).returncode
        program = [*configuration["Entrypoint"], *configuration["Cmd"]]
        daemon = subprocess.Popen(
            store.command(telemetry, program, volumes=volumes, environ=endpoint), env=ISOLATED, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until((shared["telemetry"] / "daemon.pid").exists)
        healthy_while_running = run(telemetry, *healthy).returncode
        volumes |= {shared["claude"]: "/home/agent/.claude", world.binary.parent: "/client:ro"}
        session = {name: value for name, value in world.environ().items() if name not in ("HOME", "PATH", "IS_SANDBOX")}
        ended = run(
            agent, "/client/claude", "-p", "script:work", "--model", "claude-sonnet-4-5", "--dangerously-skip-permissions",
            HOME="/home/agent", CLAUDE_AGENT_ID="backend", CLAUDE_AGENT_PROJECT="shop",
            CLAUDE_HOOKS_OTEL_HOME="/telemetry", **session,
        )  # fmt: skip
        found = world.totals(_ready)
        report = run(telemetry, *configuration["Entrypoint"], "report").stdout
        page = run(telemetry, *configuration["Entrypoint"], "serve", "--help").returncode
        [inside] = [
            each
            for each in psutil.Process(daemon.pid).children(recursive=True)
            if each.exe().endswith("python3") or "/python3." in each.exe()
        ]
        inside.terminate()  # as `docker stop` does
        output, _ = daemon.communicate(timeout=60)
        return found | {
            "session": [ended.returncode, ended.stdout, ended.stderr],
            "health": [before, healthy_while_running, run(telemetry, *healthy).returncode],
            "report": report,
            "page": page,
            "daemon": [daemon.returncode, output],
            "user": configuration["User"],
            "owners": sorted({path.stat().st_uid for path in shared["telemetry"].rglob("*")}),
            "python_of_the_session": run(agent, "ls", "/opt/claude-hooks-otel").stdout.split(),
        }


def devcontainer(folder: Path, images: str, container: str) -> dict[str, Any]:
    """A user of a container with the feature starts a session.

    Args:
        folder: the folder of the world.
        images: the folder of the images.
        container: the container in which the feature is installed.
    """
    store = Images(Path(images))
    with World(folder, {"work": TURNS}, hooks="none") as world:
        home = folder / "vscode"
        home.mkdir()
        os.chown(home, 1000, 1000)
        volumes = {home: "/home/vscode", world.binary.parent: "/client:ro"}

        def run(*program: str, **environ: str) -> subprocess.CompletedProcess[str]:
            given = {"HOME": "/home/vscode", "PATH": "/usr/local/bin:/usr/bin:/bin", **environ}
            return store.run(container, program, volumes=volumes, environ=given)

        session = run("/client/claude", "-p", "script:work", "--dangerously-skip-permissions", **_session(world))
        flushed = run("claude-hooks-otel", "flush")
        report = run("claude-hooks-otel", "report", "all", "--json")
        return {
            "code": session.returncode,
            "flush": [flushed.returncode, flushed.stdout, flushed.stderr],
            "total": json.loads(report.stdout)["total"],
            "rows": json.loads(report.stdout)["rows"],
            "charged": [{"model": charge.model, **vars(charge.usage)} for charge in world.api.charges],
            "test": run(
                "sh", "-c", (ROOT / "deploy" / "devcontainer" / "test" / "claude-hooks-otel" / "test.sh").read_text()
            ).stdout,
        }
