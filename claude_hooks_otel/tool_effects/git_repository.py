"""Finds the git repository around a folder. Source: gitrepository-layout(5).

Standard library only, because the SDK imports this module.
"""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from claude_hooks_otel.foreign_files import read_foreign

# Bytes of a file that names a folder.
_MOST_NAMED: Final = 8192


@dataclass(frozen=True, slots=True)
class GitRepository:
    """The folders of a repository.

    Attributes:
        top: the top folder of the working tree; None for a bare repository.
        git_dir: the git directory of this worktree. It holds the reflog of HEAD.
        common_dir: the git directory that all worktrees share. It holds the configuration and the branches.
    """

    top: Path | None
    git_dir: Path
    common_dir: Path


def find_repository(directory: Path) -> GitRepository | None:
    """Return the nearest repository around a folder; None if there is none or it cannot be read. The folder need not exist."""
    try:
        for folder in (directory, *directory.parents):
            git_dir = folder / ".git"
            if git_dir.exists():
                if git_dir.is_file():  # a linked worktree or a submodule
                    git_dir = _named_in(git_dir, "gitdir:")
                common = git_dir / "commondir"
                return GitRepository(folder, git_dir, _named_in(common) if common.is_file() else git_dir)
            if all((folder / part).exists() for part in ("HEAD", "objects", "refs")):
                return GitRepository(None, folder, folder)
    except (OSError, ValueError):
        return None
    return None


def current_branch(directory: Path) -> str | None:
    """Return the branch that is checked out around a folder; None if there is none, or if it cannot be read.

    Source: gitrepository-layout(5), "HEAD".
    """
    repository = find_repository(directory)
    if repository is None:
        return None
    try:
        head = read_foreign(repository.git_dir / "HEAD", _MOST_NAMED).decode(errors="replace").strip()
    except (OSError, ValueError):
        return None
    name = head.removeprefix("ref: refs/heads/")
    return name if name and name != head else None


def _named_in(file: Path, prefix: str = "") -> Path:
    """Return the folder that a file names. The name is relative to the file's folder."""
    named = read_foreign(file, _MOST_NAMED).decode(errors="surrogateescape").removeprefix(prefix).strip()
    return Path(os.path.normpath(file.parent / named))
