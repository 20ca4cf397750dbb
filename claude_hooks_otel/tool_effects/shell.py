"""Finds the simple commands in a shell command line, with the bash grammar of ``tree-sitter-bash``."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Final, NamedTuple

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

# A longer command line has a file's text in a heredoc, and reading all of it takes too long.
MAX_COMMAND_BYTES = 100_000
# The commands of shorter lines are remembered.
_SHORT = 10_000
# The parser's time grows with the square of a run of operators. This many take at most two seconds.
MAX_OPERATORS = 5000
# How deep command lines (``bash -c "bash -c …"``) and constructs can be nested. Nobody writes deeper ones.
MAX_NESTED_LINES = 8
MAX_DEPTH = 200

_BASH = Language(tree_sitter_bash.language())
# What the parser must not see, and what it sees instead. Both begin and end a word nowhere.
_BEYOND_ASCII: Final = re.compile(rb"[\x01\x80-\xff]+")
_MASKED: Final = re.compile(rb"\x01((?:[0-9a-f]{2})+)\x01")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text. A table of names needs no quotes and commas that way."""
    return frozenset(text.split())


_SHELLS = word_set("ash bash dash ksh sh zsh")
_SHELL_VALUE_OPTIONS = word_set("-o +o -O +O --rcfile --init-file")
_FIND_EXECUTES = word_set("-exec -execdir -ok -okdir")
# Node types of the grammar.
_EXPANSIONS = word_set("simple_expansion expansion command_substitution process_substitution arithmetic_expansion")
_WORDS = word_set("word number string raw_string ansi_c_string translated_string concatenation brace_expression")
_OF_HEREDOC = _WORDS | word_set(
    "heredoc_start heredoc_body heredoc_end file_redirect herestring_redirect file_descriptor"
)

# A line of words that mean themselves. Most lines are, and to split them is much faster than to parse them.
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*(?: +[A-Za-z0-9_./:@%+,-]+)*")
# Words that begin something else than a simple command.
_KEYWORDS = word_set(
    "if then elif else fi for while until do done case esac in function select time coproc "
    "declare typeset export readonly local unset unsetenv"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_OPERATOR = re.compile(rb"[(|]")
_BACKSLASH_IN_WORD = re.compile(r"\\(\n|.)", re.DOTALL)
_BACKSLASH_IN_STRING = re.compile(r'\\(\n|[$`"\\])')
_ANSI_C_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}

# Programs that run the command in their arguments, with the options that take the next word as a value.
_PREFIXES = {
    **dict.fromkeys(("builtin", "chronic", "command", "nohup", "setsid"), word_set("")),
    "caffeinate": word_set("-t -w"),
    "doas": word_set("-u -C"),
    "env": word_set("-u --unset -C --chdir -S --split-string"),
    "exec": word_set("-a"),
    "flock": word_set("-w --timeout -E --conflict-exit-code"),
    "ionice": word_set("-c --class -n --classdata"),
    "nice": word_set("-n --adjustment"),
    "stdbuf": word_set("-i --input -o --output -e --error"),
    "sudo": word_set("-u --user -g --group -h --host -p --prompt -C -D --chdir -R --chroot -r -t -T -U"),
    "time": word_set("-f --format -o --output"),
    "timeout": word_set("-k --kill-after -s --signal"),
    "watch": word_set("-n --interval"),
    "xargs": word_set("-a --arg-file -d --delimiter -E -I -L --max-lines -n --max-args -P --max-procs -s --max-chars"),
}
_TAKE_AN_OPERAND = word_set("flock timeout")  # a file, a duration
_TAKE_ASSIGNMENTS = word_set("env sudo doas")


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One program with its arguments.

    Attributes:
        argv: the words without quotes. A word with an expansion is left as it was written.
        decisive: whether the line can end with status 0 only if this command did.
        stdin: the text on its standard input; None if it is unknown.
    """

    argv: tuple[str, ...]
    decisive: bool = False
    stdin: str | None = field(default=None, compare=False)

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return self.argv[0].rsplit("/", 1)[-1]


class _Word(NamedTuple):
    """A word: its value (with expansions as they were written), its source, and whether it has an expansion."""

    value: str
    source: str
    dynamic: bool


def simple_commands(command: str) -> list[SimpleCommand]:
    """Return the simple commands of a line, in their order. A substitution comes before the command that uses it.

    It finds commands in lists, pipelines, subshells, loops, functions, substitutions, ``sh -c``, ``eval`` and ``find -exec``, after
    prefixes (``sudo``, ``timeout``, ``xargs``, …), and in texts that a shell reads. Comments, quoted words and other heredocs are no
    commands. It does not know whether a condition is true or a function is called. It reads at most MAX_COMMAND_BYTES and
    MAX_OPERATORS. Never raises.
    """
    return list(_remembered(command)[0] if len(command) <= _SHORT else _parsed(command)[0])


def is_fully_read(command: str) -> bool:
    """Return whether `simple_commands` sees all of a line: it is short enough and valid bash."""
    return _remembered(command)[1] if len(command) <= _SHORT else _parsed(command)[1]


def _parsed(command: str) -> tuple[list[SimpleCommand], bool]:
    """Return the simple commands of a line, and whether it was read completely."""
    if _PLAIN.fullmatch(command) and (words := command.split())[0] not in _KEYWORDS:
        return list(_Reader(0).run([_Word(word, word, dynamic=False) for word in words], True, None)), True
    source = _bounded(command)
    root = _parse(source)
    return list(_Reader(0).walk(root, decisive=True, depth=0)), len(source) >= len(command) and not root.has_error


# Several readers ask for the commands of one call, and many calls have the same line.
_remembered: Final = functools.lru_cache(maxsize=64)(_parsed)


def _bounded(text: str) -> bytes:
    """Return the start of a text, which is the part that is read."""
    source = text.encode("utf-8", "replace")[:MAX_COMMAND_BYTES]
    beyond = next(islice(_OPERATOR.finditer(source), MAX_OPERATORS, None), None)
    return source[: beyond.start()] if beyond else source


def _commands(text: str, *, decisive: bool, level: int) -> Iterator[SimpleCommand]:
    if level <= MAX_NESTED_LINES:
        yield from _Reader(level).walk(_parse(_bounded(text)), decisive, 0)


def _parse(source: bytes) -> Node:
    """Return the syntax tree. Its scanner calls ``isalnum`` of C, which may crash for characters beyond ASCII, so it gets none."""
    return Parser(_BASH).parse(_BEYOND_ASCII.sub(lambda found: b"\1%s\1" % found[0].hex().encode(), source)).root_node


class _Reader:
    """Walks a syntax tree. ``level`` is the number of command lines around this one."""

    def __init__(self, level: int) -> None:
        self.level = level

    def walk(self, node: Node, decisive: bool, depth: int, stdin: str | None = None) -> Iterator[SimpleCommand]:
        """Yield the commands under a node. ``stdin`` is the text on their standard input; None if it is unknown."""
        if depth > MAX_DEPTH or node.type in {"comment", "raw_string"}:
            return
        match node.type:
            case "command":
                yield from self._command(node, decisive, depth, stdin)
            case "redirected_statement":
                yield from self._redirected(node, decisive, depth, stdin)
            case "pipeline":
                for stage in node.named_children:
                    yield from self.walk(stage, decisive and stage == node.named_children[-1], depth + 1, stdin)
                    stdin = _printed(stage, stdin)
            case _:
                deciding = _deciding(node)
                for child in node.named_children:
                    yield from self.walk(child, decisive and child in deciding, depth + 1, stdin)

    def _redirected(self, node: Node, decisive: bool, depth: int, stdin: str | None) -> Iterator[SimpleCommand]:
        body = node.child_by_field_name("body")
        redirects = [child for child in node.named_children if child != body]
        stdin = _heredoc(redirects, stdin)
        # The grammar puts the rest of a heredoc's first line under the redirect.
        rests = [
            part
            for redirect in redirects
            if redirect.type == "heredoc_redirect"
            for part in redirect.named_children
            if part.type not in _OF_HEREDOC
        ]
        for redirect in redirects:  # file names and unquoted heredocs can contain substitutions
            for part in redirect.named_children:
                if part not in rests:
                    yield from self.walk(part, False, depth + 1)
        if body is not None:  # the rest of the line can end with status 0 even if the body fails
            yield from self.walk(body, decisive and not rests, depth + 1, stdin)
        piped = any(rest.type == "pipeline" or _is_piped(rest) for rest in rests)
        printed = _printed(body, stdin) if body is not None and piped else None
        for rest in rests:
            yield from self.walk(rest, False, depth + 1, printed)

    def _command(self, node: Node, decisive: bool, depth: int, stdin: str | None) -> Iterator[SimpleCommand]:
        for child in node.named_children:
            if child.type == "herestring_redirect":
                stdin = "".join(_word(part).value for part in child.named_children)
        for part in _parts(node):
            yield from self.walk(part, False, depth + 1)
        words = [_word(part) for part in _parts(node) if part.type in _WORDS | _EXPANSIONS]
        yield from self.run(words, decisive, stdin)

    def run(self, words: list[_Word], decisive: bool, stdin: str | None) -> Iterator[SimpleCommand]:
        """Yield the commands that the program in ``words`` runs, or the program itself."""
        words = _without_prefixes(words)
        if not words:
            return
        name = _program(words)
        script = None
        if name == "eval":
            script = " ".join(word.value for word in words[1:])
        elif name in _SHELLS:
            script = _script(words, stdin)
        if script is not None:
            yield from _commands(script, decisive=decisive, level=self.level + 1)
            return
        yield SimpleCommand(tuple(word.source if word.dynamic else word.value for word in words), decisive, stdin)
        if name == "find":
            for at, word in enumerate(words):
                if word.value in _FIND_EXECUTES:
                    executed = takewhile(lambda each: each.value not in {";", "+"}, words[at + 1 :])
                    yield from self.run(list(executed), False, None)


def _deciding(node: Node) -> list[Node]:
    """Return the parts of a node that must end with status 0 for the node to end with status 0."""
    parts = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "list":
            return parts if any(child.type == "&&" for child in node.children) else []
        case "program" | "subshell" | "compound_statement":
            in_background = parts and parts[-1].next_sibling is not None and parts[-1].next_sibling.type == "&"
            return [] if in_background else parts[-1:]
        case "command_substitution" | "variable_assignment":  # ``X=$(a)`` ends as ``a`` does
            return parts[-1:]
        case "string" | "concatenation":
            return parts
    return []


def _program(words: Sequence[_Word]) -> str:
    return words[0].value.rsplit("/", 1)[-1]


def _without_prefixes(words: list[_Word]) -> list[_Word]:
    """Return the words from the program on that the prefixes run. There are none if a prefix only asks about the program."""
    while words and (value_options := _PREFIXES.get(name := _program(words))) is not None:
        rest = words[1:]
        operands = int(name in _TAKE_AN_OPERAND)
        while rest:
            word = rest[0].value
            if name == "command" and word in {"-v", "-V"}:
                return []
            if word in value_options:
                rest = rest[2:]
                continue
            if not word.startswith("-") and not (name in _TAKE_ASSIGNMENTS and _ASSIGNMENT.match(word)):
                if not operands:
                    break
                operands -= 1
            rest = rest[1:]
        if not rest:
            return words[:1]
        words = rest
    return words


def _script(words: Sequence[_Word], stdin: str | None) -> str | None:
    """Return the script of a shell, from ``-c`` or from its standard input; None if it is in a file or unknown."""
    given = False
    rest = iter(word.value for word in words[1:])
    for word in rest:
        if word in _SHELL_VALUE_OPTIONS:
            next(rest, None)
        elif re.fullmatch(r"-\w*c\w*", word):
            given = True
        elif not word.startswith(("-", "+")):
            return word if given else None
    return None if given else stdin


def _printed(stage: Node, stdin: str | None) -> str | None:
    """Return the text that a stage of a pipeline prints; None if it is unknown. ``cat`` prints its input, ``echo`` its only word."""
    if stage.type == "redirected_statement":
        body = stage.child_by_field_name("body")
        return _printed(body, _heredoc(stage.named_children, stdin)) if body is not None else None
    if stage.type != "command":
        return None
    match [_word(part).value for part in _parts(stage) if part.type in _WORDS]:
        case ["cat"] | ["cat", "-"]:
            return stdin
        case ["echo" | "printf", text]:
            return text
    return None


def _parts(command: Node) -> list[Node]:
    """Return the words of a command and all other nodes between them."""
    return [
        part
        for child in command.named_children
        for part in (child.named_children if child.type == "command_name" else [child])
    ]


def _heredoc(redirects: Sequence[Node], default: str | None) -> str | None:
    """Return the text of the first heredoc among redirects, or the default."""
    for redirect in redirects:
        if redirect.type == "heredoc_redirect":
            return "".join(_text(child) for child in redirect.named_children if child.type == "heredoc_body")
    return default


def _is_piped(rest: Node) -> bool:
    before = rest.prev_sibling
    return before is not None and before.type in {"|", "|&"}


def _word(node: Node) -> _Word:
    source = _text(node)
    dynamic = any(child.type in _EXPANSIONS for child in node.named_children)
    match node.type:
        case "raw_string":
            return _Word(source[1:-1], source, dynamic=False)
        case "ansi_c_string":
            value = re.sub(r"\\(.)", lambda m: _ANSI_C_ESCAPES.get(m[1], m[1]), source[2:-1])
            return _Word(value, source, dynamic=False)
        case "string" | "translated_string":
            return _Word(_unescaped(_BACKSLASH_IN_STRING, source.removeprefix("$")[1:-1]), source, dynamic)
        case "concatenation":
            parts = [_word(child) for child in node.children]
            return _Word("".join(part.value for part in parts), source, any(part.dynamic for part in parts))
        case expansion if expansion in _EXPANSIONS:
            return _Word(source, source, dynamic=True)
    return _Word(_unescaped(_BACKSLASH_IN_WORD, source), source, dynamic)


def _unescaped(backslash: re.Pattern[str], text: str) -> str:
    return backslash.sub(lambda m: "" if m[1] == "\n" else m[1], text)


def _text(node: Node) -> str:
    text = _MASKED.sub(lambda found: bytes.fromhex(found[1].decode()), node.text or b"")
    return text.decode("utf-8", "replace")
