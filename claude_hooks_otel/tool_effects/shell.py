"""The simple commands that a shell command line runs, read with the grammar of bash (``tree-sitter-bash``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

# What a person or a model writes is shorter; a longer one carries a file's text in a heredoc, and reading it all costs time.
MAX_COMMAND_BYTES = 100_000
# The parser's time grows with the square of a run of these: this many take it two seconds at worst.
MAX_OPERATORS = 5000
# A line in a line (``bash -c "bash -c …"``), and a construct in a construct: deeper ones are made to break readers.
MAX_LINES_IN_LINES = 8
MAX_DEPTH = 200

_BASH = Language(tree_sitter_bash.language())

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})
_SHELL_VALUE_OPTIONS = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})

_EXPANSIONS = frozenset(
    {"simple_expansion", "expansion", "command_substitution", "process_substitution", "arithmetic_expansion"}
)
_WORDS = frozenset(
    {
        "word",
        "number",
        "string",
        "raw_string",
        "ansi_c_string",
        "translated_string",
        "concatenation",
        "brace_expression",
    }
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_OPERATOR = re.compile(rb"[(|]")
_BACKSLASH_IN_WORD = re.compile(r"\\(\n|.)", re.DOTALL)
_BACKSLASH_IN_STRING = re.compile(r'\\(\n|[$`"\\])')
_ANSI_C_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


class _Prefix(NamedTuple):
    """A program that runs the command in its arguments.

    Attributes:
        value_options: its options that take the next word as their value.
        operands: words of its own before the command.
    """

    value_options: frozenset[str] = frozenset()
    operands: int = 0


def _prefix(value_options: str = "", operands: int = 0) -> _Prefix:
    return _Prefix(frozenset(value_options.split()), operands)


_PREFIXES = {
    "builtin": _prefix(),
    "caffeinate": _prefix("-t -w"),
    "chronic": _prefix(),
    "command": _prefix(),
    "doas": _prefix("-u -C"),
    "env": _prefix("-u --unset -C --chdir -S --split-string"),
    "exec": _prefix("-a"),
    "flock": _prefix("-w --timeout -E --conflict-exit-code", operands=1),
    "ionice": _prefix("-c --class -n --classdata"),
    "nice": _prefix("-n --adjustment"),
    "nohup": _prefix(),
    "setsid": _prefix(),
    "stdbuf": _prefix("-i --input -o --output -e --error"),
    "sudo": _prefix("-u --user -g --group -h --host -p --prompt -C -D --chdir -R --chroot -r -t -T -U"),
    "time": _prefix("-f --format -o --output"),
    "timeout": _prefix("-k --kill-after -s --signal", operands=1),
    "watch": _prefix("-n --interval"),
    "xargs": _prefix("-a --arg-file -d --delimiter -E -I -L --max-lines -n --max-args -P --max-procs -s --max-chars"),
}
_FIND_EXECUTES = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One program with its arguments.

    Attributes:
        argv: the words, quotes removed; a word that depends on an expansion is kept as its source text.
        decisive: the whole line cannot have ended with status 0 unless this command ended with status 0.
    """

    argv: tuple[str, ...]
    decisive: bool = False

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return self.argv[0].rsplit("/", 1)[-1]


class _Word(NamedTuple):
    """A word: its value as far as it is known (expansions as their source), its source, and whether an expansion is in it."""

    value: str
    source: str
    dynamic: bool


def simple_commands(command: str) -> list[SimpleCommand]:
    """The simple commands of ``command``, in the order in which they stand (a substitution before the command that uses it).

    Through lists, pipelines, subshells, loops, functions, substitutions, ``sh -c``, ``eval``, prefixes such as ``sudo``,
    ``timeout`` or ``xargs``, ``find -exec`` and texts fed to a shell. Comments, quoted words and other heredocs are no commands.
    Whether a condition holds or a function is called is not asked. Only the first MAX_COMMAND_BYTES (and MAX_OPERATORS) are read. Never raises.
    """
    return list(_commands(command, decisive=True, level=0))


def is_fully_read(command: str) -> bool:
    """Whether ``command`` is short enough, and bash enough, for `simple_commands` to have seen all of it."""
    source = _bounded(command)
    return len(source) >= len(command) and not Parser(_BASH).parse(source).root_node.has_error


def _bounded(text: str) -> bytes:
    """The start of ``text`` that is read."""
    source = text.encode("utf-8", "replace")[:MAX_COMMAND_BYTES]
    beyond = next(islice(_OPERATOR.finditer(source), MAX_OPERATORS, None), None)
    return source[: beyond.start()] if beyond else source


def _commands(text: str, *, decisive: bool, level: int) -> Iterator[SimpleCommand]:
    if level > MAX_LINES_IN_LINES:
        return
    yield from _Reader(level).walk(Parser(_BASH).parse(_bounded(text)).root_node, decisive, 0)


class _Reader:
    """Walks a syntax tree; ``level`` counts the lines around this one."""

    def __init__(self, level: int) -> None:
        self.level = level

    def walk(self, node: Node, decisive: bool, depth: int, fed: str | None = None) -> Iterator[SimpleCommand]:
        """The commands under ``node``; ``fed`` is the text on their standard input, where it is known."""
        if depth > MAX_DEPTH or node.type in {"comment", "raw_string"}:
            return
        match node.type:
            case "command":
                yield from self._command(node, decisive, depth, fed)
            case "redirected_statement":
                yield from self._redirected(node, decisive, depth, fed)
            case "pipeline":
                yield from self._pipeline(node.named_children, decisive, depth, fed)
            case _:
                deciding = _deciding(node)
                for child in node.named_children:
                    yield from self.walk(child, decisive and child in deciding, depth + 1, fed)

    def _pipeline(self, stages: Sequence[Node], decisive: bool, depth: int, fed: str | None) -> Iterator[SimpleCommand]:
        """Each stage with what the stage before it certainly prints."""
        for stage in stages:
            yield from self.walk(stage, decisive and stage == stages[-1], depth + 1, fed)
            fed = _printed(stage, fed)

    def _redirected(self, node: Node, decisive: bool, depth: int, fed: str | None) -> Iterator[SimpleCommand]:
        body = node.child_by_field_name("body")
        redirects = [child for child in node.named_children if child != body]
        heredoc = next((text for redirect in redirects if (text := _heredoc(redirect)) is not None), fed)
        rests = [
            part for redirect in redirects if redirect.type == "heredoc_redirect" for part in _after_heredoc(redirect)
        ]
        for redirect in redirects:  # substitutions in file names and unquoted heredocs run, too
            parts = [part for part in redirect.named_children if part not in rests]
            for part in parts:
                yield from self.walk(part, False, depth + 1)
        piped = any(rest.type == "pipeline" or _is_piped(rest) for rest in rests)
        if body is not None:  # what follows a heredoc on its line may end it with 0 whatever the body did
            yield from self.walk(body, decisive and not rests, depth + 1, heredoc)
        printed = _printed(body, heredoc) if body is not None and piped else None
        for rest in rests:
            yield from self.walk(rest, False, depth + 1, printed)

    def _command(self, node: Node, decisive: bool, depth: int, fed: str | None) -> Iterator[SimpleCommand]:
        words: list[_Word] = []
        for child in node.named_children:
            if child.type == "herestring_redirect":
                fed = "".join(_word(part).value for part in child.named_children)
            for part in child.named_children if child.type == "command_name" else [child]:
                if part.type in _WORDS or part.type in _EXPANSIONS:
                    words.append(_word(part))
                yield from self.walk(part, False, depth + 1)
        yield from self._run(words, decisive, fed)

    def _run(self, words: list[_Word], decisive: bool, fed: str | None) -> Iterator[SimpleCommand]:
        """What the program in ``words`` runs, or the program itself."""
        words = _without_prefixes(words)
        if not words:
            return
        name = words[0].value.rsplit("/", 1)[-1]
        if name == "eval":
            yield from _commands(" ".join(word.value for word in words[1:]), decisive=decisive, level=self.level + 1)
            return
        if name in SHELLS:
            script = _script(words, fed)
            if script is not None:
                yield from _commands(script, decisive=decisive, level=self.level + 1)
                return
        yield SimpleCommand(tuple(word.source if word.dynamic else word.value for word in words), decisive)
        if name == "find":
            for at, word in enumerate(words):
                if word.value in _FIND_EXECUTES:
                    ends = (end for end in range(at + 1, len(words)) if words[end].value in {";", "+"})
                    yield from self._run(words[at + 1 : next(ends, len(words))], False, None)


def _deciding(node: Node) -> list[Node]:
    """The parts of ``node`` that must have ended with status 0 if it did."""
    parts = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "list":
            return parts if any(child.type == "&&" for child in node.children) else []
        case "program" | "subshell" | "compound_statement":
            in_background = parts and parts[-1].next_sibling is not None and parts[-1].next_sibling.type == "&"
            return [] if in_background else parts[-1:]
        case (
            "command_substitution" | "variable_assignment"
        ):  # an assignment without a command ends as its last substitution
            return parts[-1:]
        case "string" | "concatenation":
            return parts
    return []


def _without_prefixes(words: list[_Word]) -> list[_Word]:
    """``words`` from the program on that the prefixes in front of it run; empty where they only ask about it."""
    while words and (prefix := _PREFIXES.get(name := words[0].value.rsplit("/", 1)[-1])):
        rest = words[1:]
        operands = prefix.operands
        while rest:
            word = rest[0].value
            if word == "--":
                rest = rest[1:]
            elif name == "command" and word in {"-v", "-V"}:
                return []
            elif word in prefix.value_options:
                rest = rest[2:]
            elif word.startswith("-") or (name in {"env", "sudo", "doas"} and _ASSIGNMENT.match(word)):
                rest = rest[1:]
            elif operands:
                operands -= 1
                rest = rest[1:]
            else:
                break
        if not rest:
            return words[:1]
        words = rest
    return words


def _script(words: Sequence[_Word], fed: str | None) -> str | None:
    """The commands that a shell is given: after ``-c``, or on its standard input; None where they are in a file, or unknown."""
    at, given = 1, False
    while at < len(words):
        word = words[at].value
        if word in _SHELL_VALUE_OPTIONS:
            at += 1
        elif re.fullmatch(r"-\w*c\w*", word):
            given = True
        elif not word.startswith(("-", "+")):
            return word if given else None
        at += 1
    return None if given else fed


def _printed(stage: Node, fed: str | None) -> str | None:
    """The text that a stage of a pipeline certainly prints: ``cat`` what it is fed, ``echo`` and ``printf`` their only word."""
    if stage.type == "redirected_statement":
        fed = next((text for child in stage.named_children if (text := _heredoc(child)) is not None), fed)
        body = stage.child_by_field_name("body")
        return _printed(body, fed) if body is not None else None
    if stage.type != "command":
        return None
    parts = [
        part
        for child in stage.named_children
        for part in (child.named_children if child.type == "command_name" else [child])
    ]
    words = [_word(part) for part in parts if part.type in _WORDS]
    match [word.value for word in words]:
        case ["cat"] | ["cat", "-"]:
            return fed
        case ["echo" | "printf", text]:
            return text
    return None


def _heredoc(redirect: Node) -> str | None:
    """The text of a heredoc."""
    if redirect.type != "heredoc_redirect":
        return None
    return "".join(_text(child) for child in redirect.named_children if child.type == "heredoc_body")


def _after_heredoc(redirect: Node) -> list[Node]:
    """The rest of the line on which a heredoc begins: the grammar hangs it under the redirect."""
    own = {"heredoc_start", "heredoc_body", "heredoc_end", "file_redirect", "herestring_redirect", "file_descriptor"}
    return [child for child in redirect.named_children if child.type not in own and child.type not in _WORDS]


def _is_piped(rest: Node) -> bool:
    before = rest.prev_sibling
    return before is not None and before.type in {"|", "|&"}


def _word(node: Node) -> _Word:
    source = _text(node)
    if node.type in _EXPANSIONS:
        return _Word(source, source, dynamic=True)
    match node.type:
        case "raw_string":
            return _Word(source[1:-1], source, dynamic=False)
        case "ansi_c_string":
            return _Word(
                re.sub(r"\\(.)", lambda m: _ANSI_C_ESCAPES.get(m[1], m[1]), source[2:-1]), source, dynamic=False
            )
        case "string" | "translated_string":
            inner = source.removeprefix("$")[1:-1]
            value = _BACKSLASH_IN_STRING.sub(lambda m: "" if m[1] == "\n" else m[1], inner)
            return _Word(value, source, _has_expansion(node))
        case "concatenation":
            parts = [_word(child) for child in node.children]
            return _Word("".join(part.value for part in parts), source, any(part.dynamic for part in parts))
    value = _BACKSLASH_IN_WORD.sub(lambda m: "" if m[1] == "\n" else m[1], source)
    return _Word(value, source, _has_expansion(node))


def _has_expansion(node: Node) -> bool:
    return any(child.type in _EXPANSIONS for child in node.named_children)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
