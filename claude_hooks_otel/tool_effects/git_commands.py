"""What a shell command line has to do with git: its git invocations, the folders it works in, whether it may touch git at all."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from claude_hooks_otel.tool_effects.shell import SimpleCommand, is_fully_read, simple_commands

# A line that changes folders more often than this is a loop written out; each folder costs a look for a repository.
MAX_DIRECTORIES = 16

_GIT_VALUE_OPTIONS = frozenset(
    {
        "-C",
        "-c",
        "--git-dir",
        "--work-tree",
        "--namespace",
        "--exec-path",
        "--super-prefix",
        "--config-env",
        "--attr-source",
    }
)
# Subcommands that make no commit, branch or push; git lets no alias take their names.
_GIT_READERS = frozenset(
    {
        "add", "annotate", "archive", "blame", "cat-file", "check-ignore", "clean", "config", "count-objects", "describe", "diff",
        "diff-files", "diff-index", "diff-tree", "difftool", "for-each-ref", "format-patch", "fsck", "gc", "grep", "help", "init",
        "log", "ls-files", "ls-remote", "ls-tree", "merge-base", "mv", "name-rev", "reflog", "restore", "rev-list", "rev-parse",
        "rm", "shortlog", "show", "show-branch", "show-ref", "status", "tag", "var", "version", "whatchanged",
    }
)  # fmt: skip
# Programs of which everyone knows that they run no git command that changes anything.
_NO_GIT = frozenset(
    {
        ":", "[", "[[", "alias", "awk", "base64", "basename", "bat", "break", "cal", "cat", "cd", "chmod", "chown", "cksum", "clear",
        "cmp", "column", "comm", "continue", "cp", "curl", "cut", "date", "df", "diff", "dig", "dirname", "dirs", "du", "echo",
        "egrep", "exit", "expand", "export", "expr", "false", "fd", "fgrep", "file", "find", "fmt", "fold", "free", "getconf",
        "grep", "groups", "gunzip", "gzip", "hash", "head", "hexdump", "history", "host", "hostname", "htop", "iconv", "id",
        "install", "jobs", "join", "jq", "kill", "killall", "less", "ln", "local", "locale", "ls", "lsof", "man", "md5sum", "mkdir",
        "mktemp", "more", "mv", "nl", "nproc", "nslookup", "od", "paste", "patch", "pgrep", "ping", "pkill", "popd", "printenv",
        "printf", "ps", "pushd", "pwd", "read", "readlink", "realpath", "return", "rev", "rg", "rm", "rmdir", "rsync", "scp", "sed",
        "seq", "set", "sha1sum", "sha256sum", "shift", "shopt", "sleep", "sort", "split", "ss", "stat", "strings", "tac", "tail",
        "tar", "tee", "test", "top", "touch", "tr", "trap", "tree", "true", "truncate", "tsort", "tty", "type", "ulimit", "umask",
        "unalias", "uname", "uniq", "unset", "unzip", "uptime", "wait", "wc", "wget", "which", "who", "whoami", "xxd", "yes", "yq",
        "zcat", "zip",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GitInvocation:
    """A call of git.

    Attributes:
        subcommand: ``commit``, ``push`` and so on; "" where none is given.
        arguments: the words after it.
        directory: the folder of ``-C`` or ``--git-dir``, as written; "" where none is given.
        decisive: as for SimpleCommand.
    """

    subcommand: str
    arguments: tuple[str, ...]
    directory: str
    decisive: bool

    def operands(self, value_options: Iterable[str] = ()) -> list[str]:
        """The arguments that are no options; ``value_options`` take the next word with them."""
        found: list[str] = []
        words = iter(self.arguments)
        for word in words:
            if word in value_options:
                next(words, None)
            elif word == "--":
                found.extend(words)
            elif not word.startswith("-"):
                found.append(word)
        return found


def git_invocation(command: SimpleCommand) -> GitInvocation | None:
    """The call of git that ``command`` is, else None."""
    if command.program != "git":
        return None
    directory = ""
    words = list(command.argv[1:])
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if not value and option in _GIT_VALUE_OPTIONS and words:
            value = words.pop(0)
        if option in {"-C", "--git-dir"}:
            directory = os.path.join(directory, value)  # noqa: PTH118 -- words, not yet paths
    return GitInvocation(words[0] if words else "", tuple(words[1:]), directory, command.decisive)


def may_touch_git(command: str) -> bool:
    """Whether a command line could make a commit, a branch or a push, itself or through a program that is not known here.

    A cheap question before the reflog is read: a commit that someone else makes meanwhile is then not taken for the line's own.
    """
    return not is_fully_read(command) or any(map(_may_touch_git, simple_commands(command)))


def _may_touch_git(command: SimpleCommand) -> bool:
    if (invocation := git_invocation(command)) is not None:
        return invocation.subcommand not in _GIT_READERS and invocation.subcommand != ""
    return not has_no_git(command)


def has_no_git(command: SimpleCommand) -> bool:
    """Whether everyone knows what the program does: it shows, moves or changes files, and starts no git and no tests."""
    return command.program in _NO_GIT


def working_directories(command: str, cwd: Path) -> list[Path]:
    """The folders in which a command line works: ``cwd``, then each that ``cd``, ``pushd`` or ``git -C`` names, as far as known."""
    found = [cwd]
    current = cwd
    for each in simple_commands(command):
        invocation = git_invocation(each)
        if invocation is not None:
            target = invocation.directory
        elif each.program in {"cd", "pushd"}:
            target = next((word for word in each.argv[1:] if not re.match(r"[-+]", word)), "")
        else:
            continue
        if not target or re.search(r"[$`\0]", target):
            continue
        folder = Path(
            os.path.normpath(current / (f"{Path.home()}{target[1:]}" if re.match(r"~(/|$)", target) else target))
        )
        if invocation is None:
            current = folder
        if folder not in found:
            found.append(folder)
    return found[:MAX_DIRECTORIES]
