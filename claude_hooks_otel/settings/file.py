"""The configuration file: TOML, with a few variables that win over it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from claude_hooks_otel.settings.errors import KEY_PREFIX, NESTING, ConfigError, problems
from claude_hooks_otel.settings.model import Config

# Variables such as CLAUDE_HOOKS_OTEL_DAEMON__RETENTION_DAYS set one key of these sections.
SECTIONS_WITH_VARIABLES = ("daemon", "spool", "series", "metrics", "traces", "capture", "outbox")


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Return what the file says, with the variables of ``environ`` over it that set a key.

    To change a file and ``save`` it, load it with an empty ``environ``: then no variable ends up in the file.

    Args:
        path: the file. A missing one means the defaults.
        environ: the environment of the process.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds an unknown key or an invalid value.
    """
    variables = {name: value for name, value in environ.items() if sets_key(name) and value}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
        for name, value in variables.items():
            section, _, key = name.removeprefix(KEY_PREFIX).lower().partition(NESTING)
            values[section] = values.get(section, {}) | {key: value}
        return Config(**values)
    except tomllib.TOMLDecodeError as error:
        found = [f"not TOML: {error}"]
    except UnicodeDecodeError as error:
        found = [f"not UTF-8 text: {error.reason} at byte {error.start}"]
    except OSError as error:
        found = [f"cannot be read: {error.strerror}"]
    except ValidationError as error:
        found = list(problems(error, Config, variables))
    except (TypeError, ValueError) as error:
        found = [f"not the shape of a configuration: {error}"]
    listing = "\n".join(f"  - {problem}" for problem in found)
    raise ConfigError(f"{path}:\n{listing}\nCorrect it, or move it away to use the defaults.")


def load_usable(path: Path, kept: Path, environ: Mapping[str, str]) -> tuple[Config, str]:
    """Return a configuration in any case, and what is wrong with the present one; empty if nothing is.

    If the file cannot be used, this is the last one that could: ``keep_usable`` keeps it. If a variable is wrong, all variables that set a
    key are left out.

    Args:
        path: the file.
        kept: the last file that could be used.
        environ: the environment of the process.
    """
    try:
        return load(path, environ), ""
    except ConfigError as error:
        problem = str(error)
    for file, variables, instead in (
        (path, {}, "The variables are left out."),
        (kept, environ, f"The last good configuration is used: {kept}."),
        (kept, {}, f"The last good configuration is used: {kept}."),
    ):
        with contextlib.suppress(ConfigError):
            if file.exists():
                return load(file, variables), f"{problem} {instead}"
    return Config(), f"{problem} The defaults are used, and nothing is exported."


def keep_usable(path: Path, kept: Path) -> None:
    """Keep a copy of a file that can be used, for ``load_usable``. Without a file, the defaults are what can be used.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    if not kept.exists() or kept.read_bytes() != content:
        replace_file(kept, content)


def dump(config: Config) -> str:
    """Return the configuration as TOML, without what was never set."""
    return tomli_w.dumps(config.given())


def save(path: Path, config: Config) -> None:
    """Write the file in one step, readable by its owner only. Comments of an older file are not kept.

    Raises:
        OSError: the folder cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link into a folder of dotfiles stays a link
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, dump(config).encode())


def replace_file(path: Path, content: bytes, *, like: Path | None = None) -> None:
    """Write a file in one step: every reader finds either the old content or the new.

    Args:
        path: the file, not a symbolic link.
        content: the whole content.
        like: the file whose mode and, where possible, owner it gets. Without one, only the owner can read it.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if like is not None:
            status = like.stat()
            with contextlib.suppress(OSError):  # only root can keep another user as the owner
                os.chown(temporary, status.st_uid, status.st_gid)
            shutil.copymode(like, temporary)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sets_key(name: str) -> bool:
    """Return whether a variable sets a key of the configuration."""
    return name.startswith(tuple(f"{KEY_PREFIX}{section.upper()}{NESTING}" for section in SECTIONS_WITH_VARIABLES))
