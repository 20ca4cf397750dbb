"""The name of a project: the name of its git repository, or of its folder if it has none."""

from __future__ import annotations

import configparser
import functools
import os.path
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from claude_hooks_otel.foreign_files import in_time, read_foreign
from claude_hooks_otel.metrics.labels import UNKNOWN, Identity, normalize
from claude_hooks_otel.tool_effects.git_config import config_value
from claude_hooks_otel.tool_effects.git_repository import GitRepository, find_repository

# The folder inside a project in which the client keeps its worktrees.
_WORKTREES = "/.claude/worktrees/"
# Directory → the name of its repository when it was last seen.
_known: dict[str, str | None] = {}
_MOST_KNOWN: Final = 1024
# Directory → when the daemon looked at it, in seconds of the monotonic clock, the name that it found, and whether the directory is there.
_looked: dict[str, tuple[float, str | None, bool]] = {}
LOOKED_FOR: Final = 0.5
# Bytes of a configuration that is read. One with a thousand remotes has a tenth of it.
_MOST_CONFIG: Final = 1 << 18


def project_name(directory: str) -> str:
    """Return the normalized name of a directory's project. The directory need not exist.

    >>> project_name("/no/such/Shop")
    'shop'
    """
    return _project_name(directory, repository_name(directory))


def project_in_time(directory: str, before: Callable[[], Identity | None] = lambda: None) -> str:
    """Return the same for the daemon: if the directory's file system hangs, the name that is known.

    Args:
        directory: the project's directory.
        before: returns the session's identity so far. It decides if the directory is gone, and its name is unknown.
    """
    name, is_there = _look_in_time(directory)
    known = None if name or is_there else before()
    return known.project if known else _project_name(directory, name)


def repository_in_time(directory: str) -> str | None:
    """Return the name of the repository for the daemon: if the directory's file system hangs, the name that is known.

    A name is at most LOOKED_FOR seconds old, because a look from another thread takes as long as a part of the event.
    """
    return _look_in_time(directory)[0]


def _look_in_time(directory: str) -> tuple[str | None, bool]:
    """Return the name of the repository, and whether the directory is there."""
    at, name, is_there = _looked.get(directory, (float("-inf"), None, True))
    if time.monotonic() - at > LOOKED_FOR:
        name, is_there = in_time(directory, functools.partial(_look, directory), (_known.get(directory), True))
        if len(_looked) >= _MOST_KNOWN:
            _looked.clear()
        _looked[directory] = time.monotonic(), name, is_there
    return name, is_there


def _look(directory: str) -> tuple[str | None, bool]:
    return repository_name(directory), os.path.exists(_project_folder(directory))  # noqa: PTH110 — it raises for no path


def _project_name(directory: str, repository: str | None) -> str:
    return normalize(repository) if repository else normalize(_project_folder(directory).name, UNKNOWN)


def repository_name(directory: str) -> str | None:
    """Return the name of the git repository around a directory; None if there is none or it cannot be read.

    The name comes from the URL of the remote ``origin``, or else from the top folder of the repository's main worktree. It is read each
    time, because a repository can get a remote at any time. A folder that is gone, such as a removed worktree, keeps its name.
    """
    path = _project_folder(directory)
    if directory in _known and not os.path.exists(path):  # noqa: PTH110
        return _known[directory]
    name = _repository_name(path)
    _known.pop(directory, None)  # so that it becomes the newest
    while len(_known) >= _MOST_KNOWN:
        del _known[next(iter(_known))]
    _known[directory] = name
    return name


def _repository_name(path: Path) -> str | None:
    repository = find_repository(path) if path.is_absolute() else None
    if repository is None:
        return None
    common = repository.common_dir
    return _origin_name(common) or _main_folder(repository)


def _main_folder(repository: GitRepository) -> str | None:
    """Return the name of the main worktree's folder, or of a bare repository."""
    common = repository.common_dir
    if common.name == ".git":
        return common.parent.name
    if common == repository.git_dir and repository.top:
        return repository.top.name  # a submodule
    return common.parent.name if common.name.startswith(".") else common.name.removesuffix(".git")


def _project_folder(directory: str) -> Path:
    return Path(directory.split(_WORKTREES, maxsplit=1)[0])


def _origin_name(git_dir: Path) -> str | None:
    try:
        return _origin_name_in(read_foreign(git_dir / "config", _MOST_CONFIG))
    except (OSError, ValueError):  # ValueError: a NUL in the name of the git directory
        return None


@functools.lru_cache(maxsize=256)
def _origin_name_in(config: bytes) -> str | None:
    """Return the last part of the URL of the remote ``origin``."""
    try:
        url = config_value(config.decode(errors="replace"), 'remote "origin"', "url") or ""
    except configparser.Error:
        return None
    if "://" in url:
        url = unquote(url)
    return url.rstrip("/").removesuffix(".git").replace(":", "/").rsplit("/", maxsplit=1)[-1] or None
