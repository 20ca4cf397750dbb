"""From Claude Code to the spool: the shell, the registered hooks, and a real run of the hook."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from claude_hooks_otel import __version__
from claude_hooks_otel.diagnosis.finding import (
    ADMINISTRATOR,
    INSTALL,
    Finding,
    Level,
    Settings,
    Surroundings,
    fail,
    ok,
    warn,
)
from claude_hooks_otel.home.paths import HOME_VARIABLE, Home
from claude_hooks_otel.installation.home_files import emit_path
from claude_hooks_otel.sources import registration
from claude_hooks_otel.sources.envelope import Envelope
from claude_hooks_otel.sources.registration import Registration
from claude_hooks_otel.sources.spool import Spool

# The event of the trial. Every registration has it, and it never starts a daemon.
_TRIAL_EVENT = "SubagentStop"
_TRIAL_PAYLOAD = b'{"hook_event_name": "SubagentStop", "trial": "\xff"}\n'
# Seconds. A hook takes milliseconds. Claude Code stops it after registration.TIMEOUT.
_TRIAL_TIMEOUT = registration.TIMEOUT


def shell(_: Surroundings) -> Iterator[Finding]:
    """Check that ``sh`` exists. Claude Code runs hooks with it."""
    if found := shutil.which("sh"):
        yield ok("shell", str(found))
    else:
        yield fail("shell", "there is no sh on PATH", "Install a POSIX shell.")


def installed_client(surroundings: Surroundings) -> Iterator[Finding]:
    """Check the version of the ``claude`` on PATH, where its path or its package shows it."""
    found = shutil.which("claude", path=surroundings.environ.get("PATH"))
    version = _version_of(Path(found).resolve()) if found else None
    if not version:
        return
    shown, oldest = ".".join(map(str, version)), ".".join(map(str, registration.OLDEST_CLIENT))
    if version < registration.FIRST_TOLERANT_CLIENT:
        note = f"Claude Code {shown} ignores a whole settings file if it does not know one event in it: nothing is captured"
        yield fail("claude", note, f"Update Claude Code. The oldest supported version is {oldest}.")
    elif version < registration.OLDEST_CLIENT:
        yield warn("claude", f"Claude Code {shown} is not supported", f"Update Claude Code to {oldest} or later.")
    else:
        yield ok("claude", f"Claude Code {shown}")


def _version_of(client: Path) -> tuple[int, ...] | None:
    """Return the version of a client: its file's name (native installer), or that of the npm package that it is in."""
    name = client.name
    for package in (client.parent / "package.json", client.parent.parent / "package.json"):
        with contextlib.suppress(OSError, ValueError):
            described = json.loads(package.read_text())
            if isinstance(described, dict) and str(described.get("name", "")).startswith("@anthropic-ai/claude-code"):
                name = str(described.get("version"))
    return tuple(map(int, name.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", name) else None


def hooks_registered(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that every event is registered somewhere that Claude Code reads."""
    for settings in surroundings.settings:
        if settings.problem:
            yield fail(
                "hooks",
                f"{settings.path} {settings.problem}",
                "Correct the file. Nothing in it takes effect until then.",
            )
        elif wrong := settings.unreadable_hooks:
            observed = f"{settings.path}: Claude Code cannot read {', '.join(wrong)}, and ignores all hooks of this file because of it"
            remedy = "Correct it: a matcher is a text, and each hook has a type and a command."
            yield (fail if settings.commands else warn)("hooks", observed, remedy)
    places = [f"{settings.name} settings" for settings in surroundings.settings if settings.commands]
    if places and all(settings.unreadable_hooks for settings in surroundings.settings if settings.commands):
        return
    plugins = [settings for settings in surroundings.settings if settings.enables_plugin]
    places += ["plugin"] if plugins else []
    if not places:
        yield fail("hooks", "none are registered in the settings of this user and folder", INSTALL)
        return
    modes = {settings.registration for settings in surroundings.settings if settings.commands}
    modes |= {Registration.FULL} if plugins else set()
    mode = Registration.FULL if Registration.FULL in modes else Registration.LIGHT
    registered = {event for settings in surroundings.settings for event in settings.commands}
    remedy = ADMINISTRATOR if surroundings.managed_hooks else INSTALL
    missing = [] if plugins else [event for event in registration.events_of(mode) if event not in registered]
    if missing:
        yield warn("hooks", f"{', '.join(places)}: missing {', '.join(missing)}", remedy)
    elif surplus := sorted(registered - registration.REGISTERED.keys()):
        yield warn("hooks", f"an older version registered: {', '.join(surplus)}", remedy)
    elif other := [settings.path for settings in surroundings.settings if not _is_current(settings)]:
        yield warn("hooks", f"another version wrote: {', '.join(map(str, other))}", remedy)
    elif surroundings.managed_hooks and len(places) > 1:
        note = f"{', '.join(places)} register them: each event counts once, but every hook runs twice"
        yield warn(
            "hooks", note, "Run `claude-hooks-otel uninstall --all`. The organization's settings register the hooks."
        )
    elif plugins and len(places) > 1:
        note = "both the plugin and the settings register them: each event counts once, but every hook runs twice"
        yield warn("hooks", note, "Run `claude-hooks-otel install --plugin`, or disable the plugin.")
    elif len(modes) > 1:
        note = f"{', '.join(places)}: one is light, one is full, so all events are registered, and most hooks run twice"
        yield warn("hooks", note, "Run `claude-hooks-otel install --events full|light` for each, with the same choice.")
    else:
        yield ok("hooks", f"{', '.join(places)}: {_ALL_OF[mode]}")


# What a complete registration is.
_ALL_OF = {
    Registration.FULL: f"all {len(registration.REGISTERED)} events",
    Registration.LIGHT: f"light, {len(registration.events_of(Registration.LIGHT))} events; tool calls come from transcripts",
}


def _is_current(settings: Settings) -> bool:
    def expected(event: str, command: str) -> str:
        if settings.name == "managed" and (prefixes := registration.prefixes_of(command)) is not None:
            return registration.managed_command(event, prefixes, settings.registration)
        return registration.command(event, registration.SETTINGS_EMIT, settings.registration)

    return all(
        command == expected(event, command) for event, commands in settings.commands.items() for command in commands
    )


def hooks_switched_on(surroundings: Surroundings) -> Iterator[Finding]:
    """Check the switches of Claude Code that keep hooks from running."""
    managed = [settings for settings in surroundings.settings if settings.name == "managed"]
    if surroundings.disables_hooks:
        yield fail("switches", "disableAllHooks is set", "Remove it from the settings.")
    elif any(settings.values.get("allowManagedHooksOnly") for settings in managed):
        ours = any(settings.commands or settings.enables_plugin for settings in managed)
        level = Level.OK if ours else Level.FAIL
        yield Finding(
            "switches",
            level,
            "only the organization's managed hooks run here",
            "" if ours else "Ask your administrator to add the hooks.",
        )
    elif off := [name for name in ("CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_SAFE_MODE") if surroundings.environ.get(name)]:
        yield warn("switches", f"{', '.join(off)} is set: sessions started here run no hooks", "Unset it.")
    elif surroundings.setting("disableAllHooks"):
        yield ok("switches", "disableAllHooks is set, but the organization's hooks still run")
    else:
        yield ok("switches", "nothing turns hooks off")


def same_home(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that this command reads the home that the hooks write to."""
    here = Home.from_environment(surroundings.environ).root.absolute()
    if here != surroundings.home.root:
        yield warn(
            "home",
            f"the settings send events to {surroundings.home.root}, but commands in this shell read {here}",
            f"Set {HOME_VARIABLE}={surroundings.home.root} in your shell, or run `claude-hooks-otel install` with the folder that you want.",
        )
    if not surroundings.home.root.is_absolute():
        yield fail(
            "home",
            f"{surroundings.home.root} is a relative path, so it means another folder in every directory",
            f"Set {HOME_VARIABLE} to an absolute path.",
        )


def hook_file(surroundings: Surroundings) -> Iterator[Finding]:
    """Check that the registered ``emit`` exists and belongs to this version."""
    if any(settings.commands for settings in surroundings.settings):
        emit = _registered_emit(surroundings)
        managed = surroundings.managed_hooks
        if not emit.is_file() or not os.access(emit, os.R_OK):
            remedy = "Install the package where the organization's settings expect it." if managed else INSTALL
            yield fail("hook file", f"{emit} is missing or unreadable: nothing is captured", remedy)
        elif emit.read_bytes() != emit_path().read_bytes():
            yield warn("hook file", f"{emit} belongs to another version", INSTALL)
        else:
            yield ok("hook file", str(emit))
    if any(settings.enables_plugin for settings in surroundings.settings) and (root := _plugin_root(surroundings)):
        same = (root / "hooks" / "emit").read_bytes() == emit_path().read_bytes()
        level, remedy = (
            (Level.OK, "")
            if same
            else (Level.WARN, "Update the plugin or the package, so that both have the same version.")
        )
        yield Finding("hook file", level, f"{root} (plugin), package {__version__}", remedy)


def _registered_emit(surroundings: Surroundings) -> Path:
    """Return the file that the registered hooks run: the organization's, or the one in the usual home."""
    if surroundings.managed_prefix is not None:
        return surroundings.managed_prefix / registration.SHARED_EMIT
    return surroundings.usual_home.emit


def _plugin_root(surroundings: Surroundings) -> Path | None:
    """Return the newest copy of the plugin in Claude Code's cache."""
    user = next(settings.path for settings in surroundings.settings if settings.name == "user")
    found = user.parent.glob("plugins/cache/*/hooks-otel/*/hooks/emit")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return newest and newest.parent.parent


def capture_works(surroundings: Surroundings) -> Iterator[Finding]:
    """Run the registered command as Claude Code does, in a temporary home."""
    commands = [command for settings in surroundings.settings for command in settings.commands.get(_TRIAL_EVENT, ())]
    root = _plugin_root(surroundings)
    if not commands and root:
        commands = [registration.plugin_hooks()["hooks.json"]["hooks"][_TRIAL_EVENT][0]["hooks"][0]["command"]]
    for command in dict.fromkeys(commands):
        yield _trial(command, surroundings, root)


def _trial(command: str, surroundings: Surroundings, plugin_root: Path | None) -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"PATH": surroundings.environ.get("PATH", os.defpath), "HOME": folder}
        home = Home.from_environment(environ)
        home.root.mkdir(parents=True)
        home.emit.symlink_to(surroundings.usual_home.emit.absolute())
        environ |= {"CLAUDE_PLUGIN_ROOT": str(plugin_root)} if plugin_root else {}
        begin = time.monotonic()
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command],  # as Claude Code does
                input=_TRIAL_PAYLOAD, env=environ, cwd="/", capture_output=True, check=False, timeout=_TRIAL_TIMEOUT,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return fail("capture", f"the registered command cannot be run: {error}", INSTALL)
        took = (time.monotonic() - begin) * 1000
        payloads = [entry.payload for entry in Spool(home.spool).take(2) if isinstance(entry, Envelope)]
    if done.returncode or done.stdout or done.stderr:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        return fail(
            "capture", f"the registered command disturbs the session: exit code {done.returncode} {said}", INSTALL
        )
    if payloads != [_TRIAL_PAYLOAD]:
        return fail("capture", "a trial event did not arrive in the spool", INSTALL)
    return ok("capture", f"a trial event arrived in {took:.0f} ms")


CHECKS = (shell, installed_client, hooks_registered, hooks_switched_on, same_home, hook_file, capture_works)
