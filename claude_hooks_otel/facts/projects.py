"""What a project is called: its git repository's name, else its folder's."""

from __future__ import annotations

import configparser
import functools
from pathlib import Path

from claude_hooks_otel.metrics.labels import UNKNOWN, normalize

# Where the client keeps the worktrees it makes, below the project: their parent is the project.
_WORKTREES = "/.claude/worktrees/"


def project_name(directory: str) -> str:
    """The project that a directory belongs to, normalized: its repository's name, else its own, even where it is gone.

    >>> project_name("/no/such/Shop")
    'shop'
    """
    name = repository_name(directory)
    return normalize(name) if name else normalize(_project_folder(directory).name, UNKNOWN)


@functools.lru_cache(maxsize=1024)
def repository_name(directory: str) -> str | None:
    """The name of the git repository that a directory is in; None where it is in none, or cannot be read.

    The name in the ``origin`` remote's URL, else that of the repository's top folder (the main one's, for a worktree).
    """
    path = _project_folder(directory)
    if not path.is_absolute():
        return None  # what it is relative to, nobody here knows
    for folder in (path, *path.parents):
        git = folder / ".git"
        try:
            if git.is_dir():
                return _origin_name(git) or folder.name
            if git.is_file():
                common = _common_directory(git)
                main = common.parent if common.name == ".git" else folder
                return _origin_name(common) or main.name
        except (OSError, ValueError):
            return None
    return None


def _project_folder(directory: str) -> Path:
    return Path(directory.split(_WORKTREES, maxsplit=1)[0])


def _common_directory(git_file: Path) -> Path:
    """The main repository's ``.git`` folder, from a worktree's ``.git`` file (gitrepository-layout(5))."""
    target = Path(git_file.read_text().removeprefix("gitdir:").strip())
    folder = target if target.is_absolute() else git_file.parent / target
    common = folder / "commondir"
    return (folder / common.read_text().strip()).resolve() if common.is_file() else folder


def _origin_name(git: Path) -> str | None:
    config = configparser.RawConfigParser(strict=False, allow_no_value=True, interpolation=None)
    try:
        config.read_string((git / "config").read_text(errors="replace").replace("\t", ""))
    except (OSError, configparser.Error):
        return None
    url = config.get('remote "origin"', "url", fallback="") or ""
    return url.rstrip("/").removesuffix(".git").replace(":", "/").rsplit("/", maxsplit=1)[-1] or None
