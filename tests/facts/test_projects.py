"""A project has the name of its repository, else that of its folder."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from claude_hooks_otel import foreign_files
from claude_hooks_otel.daemon.identity import identity_resolver
from claude_hooks_otel.facts import projects
from claude_hooks_otel.facts.projects import project_in_time, project_name, repository_in_time, repository_name
from claude_hooks_otel.metrics.labels import Identity
from claude_hooks_otel.settings import Config, IdentityConfig


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=Dev", "-c", "user.email=dev@example.test")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository without a remote."""
    folder = tmp_path / "Shop"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    return folder


def test_a_repository_without_a_remote_has_the_name_of_its_top_folder(shop: Path) -> None:
    assert repository_name(str(shop / "src")) == "Shop"
    assert project_name(str(shop / "src")) == "shop"


@pytest.mark.parametrize("url", ["git@git.example.org:team/Web-Shop.git", "https://example.org/team/Web-Shop/"])
def test_a_repository_has_the_name_of_its_remote(shop: Path, url: str) -> None:
    git(shop, "remote", "add", "origin", url)
    assert repository_name(str(shop)) == "Web-Shop"


@pytest.mark.parametrize(
    "line",
    [
        "url = https://example.org/team/Web%20Shop.git",
        'url = "https://example.org/team/Web Shop.git"',
        'url = "/srv/git/Web Shop.git" ; mirror',
        "url = ssh://git@example.org:2222/team/Web%20Shop.git",
        "url = git@example.org:team/Web Shop.git",
        "url = https://example.org/team/Web%20Shop.git # main",
    ],
)
def test_a_remote_may_be_quoted_or_percent_encoded(shop: Path, line: str) -> None:
    with (shop / ".git" / "config").open("a") as file:
        file.write(f'[remote "origin"]\n\t{line}\n')
    assert repository_name(str(shop)) == "Web Shop"
    assert project_name(str(shop)) == "web-shop"


def test_a_change_of_the_repository_is_noticed(tmp_path: Path) -> None:
    """A folder becomes a repository, gets a remote, and gets another one."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    assert repository_name(str(folder)) is None
    git(folder, "init", "--quiet")
    assert repository_name(str(folder)) == "scratch"
    git(folder, "remote", "add", "origin", "git@h:acme/shop.git")
    assert repository_name(str(folder)) == "shop"
    git(folder, "remote", "set-url", "origin", "git@h:acme/webshop.git")
    assert repository_name(str(folder)) == "webshop"


def test_a_removed_worktree_keeps_its_name(shop: Path) -> None:
    git(shop, "worktree", "add", "--quiet", "../other")
    other = shop.parent / "other"
    assert repository_name(str(other)) == "Shop"
    git(shop, "worktree", "remove", "../other")
    assert not other.exists()
    assert repository_name(str(other)) == "Shop"


def test_a_worktree_that_went_before_its_event_was_read_stays_in_the_sessions_project(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon was restarted meanwhile, so it does not remember the folder."""
    monkeypatch.setattr(projects, "_known", {})
    monkeypatch.setattr(projects, "_looked", {})
    gone = str(shop.parent / "feature-1")
    resolve = identity_resolver(Config(projects={"/listed": "listed"}))
    assert resolve({}, gone, lambda: Identity("a", "shop")).project == "shop"
    assert resolve({}, gone).project == "feature-1"
    assert resolve({}, str(shop), lambda: Identity("a", "another")).project == "shop"
    assert resolve({"project": "given"}, gone, lambda: Identity("a", "shop")).project == "given"
    assert resolve({}, "/listed/gone", lambda: Identity("a", "shop")).project == "listed"
    assert resolve({}, "/" + "x" * 5000, lambda: Identity("a", "shop")).project == "shop"


def test_labels_come_from_the_session_then_the_configuration_then_the_resource_attributes_then_git(shop: Path) -> None:
    attributes = {"project.name": "Attribute", "project": "second", "team": "backend", "agent": "api", "sprint": "6B"}
    labels = Identity("api", "attribute", "backend", "6b")
    assert identity_resolver(Config(), attributes)({}, str(shop)) == labels
    assert identity_resolver(Config())({}, str(shop)) == Identity("default", "shop")
    config = Config(projects={str(shop): "listed"}, identity=IdentityConfig(agent="configured", project="unused"))
    resolve = identity_resolver(config, attributes)
    assert resolve({}, str(shop)) == Identity("configured", "listed", "backend", "6b")
    assert resolve({}, "/elsewhere").project == "unused"
    assert resolve({"agent": "own", "project": "own", "team": "own"}, str(shop)) == Identity("own", "own", "own", "6b")


@pytest.mark.parametrize(("bare", "name"), [("Shop.git", "Shop"), ("Web/.bare", "Web"), ("Plain", "Plain")])
def test_a_worktree_of_a_bare_repository_has_the_name_of_the_repository(
    shop: Path, tmp_path: Path, bare: str, name: str
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(shop), bare)
    git(tmp_path / bare, "remote", "remove", "origin")
    git(tmp_path / bare, "worktree", "add", "--quiet", str(tmp_path / "feature-1"))
    assert repository_name(str(tmp_path / "feature-1")) == name


def test_a_worktree_has_the_name_of_the_main_repository(shop: Path) -> None:
    git(shop, "worktree", "add", "--quiet", "../other")
    assert repository_name(str(shop.parent / "other")) == "Shop"


def test_a_worktree_of_the_client_belongs_to_the_project_around_it(shop: Path) -> None:
    assert project_name(f"{shop}/.claude/worktrees/agent-1/src") == "shop"


def test_a_submodule_has_its_own_name(shop: Path) -> None:
    git(shop, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(shop), "part")
    git(shop / "part", "remote", "remove", "origin")
    assert repository_name(str(shop / "part")) == "part"


def test_a_folder_in_no_repository_has_its_own_name(tmp_path: Path) -> None:
    assert repository_name(str(tmp_path / "Site")) is None
    assert project_name(str(tmp_path / "Site")) == "site"
    assert project_name("relative/Site") == "site"


def test_a_project_on_a_file_system_that_hangs_keeps_its_name(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that was never seen has the name of its folder until the file system answers."""
    subprocess.run(["git", "remote", "add", "origin", "https://example.test/known.git"], cwd=shop, check=True)
    assert project_in_time(str(shop)) == "known"
    monkeypatch.setattr(foreign_files, "ANSWER_TIMEOUT", 0.01)
    answers = threading.Event()
    monkeypatch.setattr(projects, "find_repository", lambda _: answers.wait() and None)
    never_seen = str(shop.parent / "never-seen")
    try:
        assert project_in_time(str(shop)) == repository_in_time(str(shop)) == "known"
        assert project_in_time(never_seen) == "never-seen"
        assert repository_in_time(never_seen) is None
    finally:
        answers.set()
        for helper in list(foreign_files._hanging.values()):
            helper.join()
