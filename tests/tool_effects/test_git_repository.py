"""The repository of a folder is the one that git uses there."""

from __future__ import annotations

import pytest

from claude_hooks_otel.tool_effects.git_repository import GitRepository, find_repository
from tests.support.git_project import GitProject


@pytest.fixture
def project(tmp_path):
    return GitProject(tmp_path)


@pytest.mark.parametrize("below", [".", "a/b", "missing/folder"])
def test_a_repository_is_found_from_every_folder_below_its_top(project, below):
    (project.root / "a" / "b").mkdir(parents=True)
    git_dir = project.root / ".git"
    assert find_repository(project.root / below) == GitRepository(project.root, git_dir, git_dir)


def test_a_linked_worktree_has_its_own_git_directory_and_shares_the_common_one(project):
    project.run("git worktree add -q ../other -b other")
    other = project.root.parent / "other"
    git_dir = project.root / ".git"
    assert find_repository(other) == GitRepository(other, git_dir / "worktrees" / "other", git_dir)


def test_a_submodule_is_a_repository_of_its_own(project):
    project.run("git -c protocol.file.allow=always submodule add -q ../remote.git part")
    git_dir = project.root / ".git" / "modules" / "part"
    assert find_repository(project.root / "part") == GitRepository(project.root / "part", git_dir, git_dir)


def test_a_bare_repository_has_no_working_tree(project):
    bare = project.root.parent / "remote.git"
    assert find_repository(bare) == find_repository(bare / "refs") == GitRepository(None, bare, bare)


@pytest.mark.parametrize("name", ["folder", "x" * 300, "nul\0"])
def test_a_folder_outside_of_any_repository_has_none(tmp_path, name):
    assert find_repository(tmp_path / name) is None
