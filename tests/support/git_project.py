"""A project in a real git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from claude_hooks_otel.tool_effects.git_operations import GitOperation
from claude_hooks_otel.tool_effects.git_repository import find_repository
from claude_hooks_otel.tool_effects.reflog import reflog_operations

NOON = 1_600_000_000  # a moment in 2020, Unix seconds: before any file of these tests was written


class GitProject:
    """A repository with its own clock, from which git takes the time of every commit and reflog entry."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.home = root
        self.root.mkdir()
        self.now = NOON
        (root / ".gitconfig").write_text(
            "[user]\nname = Dev\nemail = dev@example.test\n[init]\ndefaultBranch = main\n[alias]\nci = commit -q\n[advice]\ndetachedHead = false\n"
        )
        tools = root / "bin"
        tools.mkdir()
        for tool, body in (
            ("gh", "echo https://github.com/acme/widgets/pull/42"),
            ("glab", "echo https://gitlab.com/a/b/-/merge_requests/5"),
        ):
            (tools / tool).write_text(f'#!/bin/sh\ncase "$*" in *FAIL*) echo failed; exit 1;; esac\n{body}\n')
            (tools / tool).chmod(0o755)
        self.run("git init -q --bare ../remote.git && git init -q && git remote add origin ../remote.git")
        (self.root / "commit.sh").write_text("#!/bin/sh\ngit commit -q --allow-empty -m scripted\n")
        (self.root / "commit.sh").chmod(0o755)
        self.run(
            "git add -A && git commit -qm init && echo 1 > b.txt && git add -A && git commit -qm second && git push -q -u origin main"
        )

    def run(self, command: str, check=True) -> str:
        environment = {
            "PATH": f"{self.home}/bin:{os.environ['PATH']}",
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_COMMITTER_DATE": f"@{self.now} +0000",
            "GIT_AUTHOR_DATE": f"@{self.now} +0000",
            "GIT_EDITOR": "true",
        }
        result = subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0 or not check, result.stderr
        return result.stdout + result.stderr

    def count(self) -> int:
        """Return the number of commits on branches, as git counts them."""
        return int(self.run("git rev-list --branches --count"))

    def recorded(self, since: float, until: float) -> list[tuple[str, str]]:
        return [(each.kind, each.action) for each in self.operations(since, until)]

    def operations(self, since: float, until: float) -> list[GitOperation]:
        """Return what git recorded between two times, Unix seconds."""
        found = find_repository(self.root)
        assert found is not None
        return reflog_operations(found, since, until)

    def call(self, command: str, seconds=1) -> list[GitOperation]:
        """Run a command as a Bash call of some seconds, a minute after the last one, and return what git recorded meanwhile."""
        self.now += 60
        began = self.now
        self.run(command, check=False)
        self.now += seconds
        return self.operations(began + 0.25, self.now + 0.5)
