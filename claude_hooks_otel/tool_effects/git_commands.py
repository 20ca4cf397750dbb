"""The git commands in a shell command line, the folders in which it works, and whether it may change a repository."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from pathlib import Path

from claude_hooks_otel.tool_effects.shell import SimpleCommand, is_fully_read, simple_commands, word_set

# The most folders of one line. Each of them costs a search for a repository.
MAX_DIRECTORIES = 16

_GIT_VALUE_OPTIONS = word_set(
    "-C -c --git-dir --work-tree --namespace --exec-path --super-prefix --config-env --attr-source"
)
# Subcommands that make no commit, branch or push. An alias cannot have their names.
_READING_SUBCOMMANDS = word_set("""
    add annotate archive blame cat-file check-ignore clean config count-objects describe diff diff-files diff-index diff-tree
    difftool for-each-ref format-patch fsck gc grep help init log ls-files ls-remote ls-tree merge-base mv name-rev reflog restore
    rev-list rev-parse rm shortlog show show-branch show-ref status tag var version whatchanged
""")
# Subcommands of which each call makes one commit, if it succeeds.
_COMMITTING_SUBCOMMANDS = word_set("commit merge revert cherry-pick")
# Programs that run neither git nor tests.
_UTILITIES = word_set("""
    : [ [[ alias awk base64 basename bat break cal cat cd chmod chown cksum clear cmp column comm continue cp curl cut date df diff
    dig dirname dirs du echo egrep exit expand export expr false fd fgrep file find fmt fold free getconf grep groups gunzip gzip
    hash head hexdump history host hostname htop iconv id install jobs join jq kill killall less ln local locale ls lsof man md5sum
    mkdir mktemp more mv nl nproc nslookup od paste patch pgrep ping pkill popd printenv printf ps pushd pwd read readlink realpath
    return rev rg rm rmdir rsync scp sed seq set sha1sum sha256sum shift shopt sleep sort split ss stat strings tac tail tar tee
    test top touch tr trap tree true truncate tsort tty type ulimit umask unalias uname uniq unset unzip uptime wait wc wget which
    who whoami xxd yes yq zcat zip
""")


# The variable that names the git directory, in front of a command or exported.
_GIT_DIR = re.compile(r"""\bGIT_DIR=(?:"([^"$`]+)"|'([^']+)'|([^\s;&|"'$`()]+))""")


@dataclass(frozen=True, slots=True)
class GitInvocation:
    """A call of git.

    Attributes:
        subcommand: ``commit``, ``push`` and so on; "" for a bare ``git``.
        arguments: the words after it.
        directory: the folder of ``-C`` or ``--git-dir``, as written; "" without them.
        decisive: as in `SimpleCommand`.
    """

    subcommand: str
    arguments: tuple[str, ...]
    directory: str
    decisive: bool


def git_invocation(command: SimpleCommand) -> GitInvocation | None:
    """Return the git call in a command; None for another program."""
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


def is_utility(command: SimpleCommand) -> bool:
    """Return whether a program only shows, moves or changes files. Such a program runs neither git nor tests."""
    return command.program in _UTILITIES


def may_touch_git(command: str) -> bool:
    """Return whether a command line could make a commit, a branch or a push, itself or through an unknown program.

    If it could not, the reflog is not read. So a commit that a human makes at the same time does not count for the line.
    """
    return not is_fully_read(command) or any(map(_may_touch_git, simple_commands(command)))


def _may_touch_git(command: SimpleCommand) -> bool:
    invocation = git_invocation(command)
    if invocation is None:
        return not is_utility(command)
    return invocation.subcommand != "" and invocation.subcommand not in _READING_SUBCOMMANDS


def named_commits(command: str) -> int:
    """Return how many commits a command line makes at most with commands that are there to make one, such as ``git commit``."""
    invocations = map(git_invocation, simple_commands(command))
    return sum(each is not None and each.subcommand in _COMMITTING_SUBCOMMANDS for each in invocations)


def working_directories(command: str, cwd: Path) -> list[Path]:
    """Return the folders in which a line works, if they are known.

    They are ``cwd`` and the folders of ``cd``, ``pushd``, ``git -C``, ``--git-dir`` and ``GIT_DIR=``.
    """
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
        folder = _folder(current, target)
        if invocation is None:
            current = folder
        if folder not in found:
            found.append(folder)
    named = {_folder(cwd, match[match.lastindex or 0]) for match in _GIT_DIR.finditer(command)}
    found += sorted(named - set(found))
    return found[:MAX_DIRECTORIES]


def _folder(base: Path, target: str) -> Path:
    """Return the folder that a word names, seen from another folder."""
    return Path(os.path.normpath(base / re.sub(r"^~(?=/|$)", lambda _: str(Path.home()), target)))
