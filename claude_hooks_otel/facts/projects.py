"""The name of a project: the name of its git repository, or of its folder if it has none."""

from __future__ import annotations

import configparser
import functools
from pathlib import Path

from claude_hooks_otel.metrics.labels import UNKNOWN, normalize
from claude_hooks_otel.tool_effects.git_repository import find_repository

# The folder inside a project in which the client keeps its worktrees.
_WORKTREES = "/.claude/worktrees/"


def project_name(directory: str) -> str:
    """Return the normalized name of a directory's project. The directory need not exist.

    >>> project_name("/no/such/Shop")
    'shop'
    """
    name = repository_name(directory)
    return normalize(name) if name else normalize(_project_folder(directory).name, UNKNOWN)


@functools.lru_cache(maxsize=1024)
def repository_name(directory: str) -> str | None:
    """Return the name of the git repository around a directory; None if there is none or it cannot be read.

    The name comes from the URL of the remote ``origin``, or else from the top folder of the repository's main worktree.
    """
    path = _project_folder(directory)
    repository = find_repository(path) if path.is_absolute() else None
    if repository is None:
        return None
    common = repository.common_dir
    main = common.parent if common.name == ".git" else repository.top
    return _origin_name(common) or main.name if main else None


def _project_folder(directory: str) -> Path:
    return Path(directory.split(_WORKTREES, maxsplit=1)[0])


def _origin_name(git_dir: Path) -> str | None:
    config = configparser.RawConfigParser(strict=False, allow_no_value=True, interpolation=None)
    try:
        config.read_string((git_dir / "config").read_text(errors="replace").replace("\t", ""))
    except (OSError, configparser.Error):
        return None
    url = config.get('remote "origin"', "url", fallback="") or ""
    return url.rstrip("/").removesuffix(".git").replace(":", "/").rsplit("/", maxsplit=1)[-1] or None
