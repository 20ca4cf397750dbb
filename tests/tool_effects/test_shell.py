"""The commands of a line are those that bash runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Parser

from claude_hooks_otel.tool_effects import shell
from claude_hooks_otel.tool_effects.shell import MAX_COMMAND_BYTES, MAX_OPERATORS, is_fully_read, simple_commands


def argvs(command: str) -> list[str]:
    """Return the commands. A bar joins the words of each."""
    return ["|".join(found.argv) for found in simple_commands(command)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git status", ["git|status"]),
        ("a && b || c; d\ne & f", ["a", "b", "c", "d", "e", "f"]),
        ("a x | b y |& c", ["a|x", "b|y", "c"]),
        ("(a; { b; })", ["a", "b"]),
        ("if a; then b; elif c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("for i in 1 2; do a $i; done; while a; do b; done; case x in x) c;; esac", ["a|$i", "a", "b", "c"]),
        ("f() { a; }; f", ["a", "f"]),
        ("! a; [[ -f x ]] && b; time -p c", ["a", "b", "c"]),
        ("A=1 B=2 git push > log 2>&1 < in", ["git|push"]),
        ("A=1", []),
        ("git commit \\\n  -m x", ["git|commit|-m|x"]),
        ("", []),
    ],
)
def test_every_command_of_a_line_is_found(command, expected):
    assert argvs(command) == expected


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("'a b'", "a b"),
        ('"a b"', "a b"),
        ('"a \\"b\\" \\$c \\d"', 'a "b" $c \\d'),
        ("a\\ b", "a b"),
        ("a\"b\"'c'd", "abcd"),
        ("$'a\\nb'", "a\nb"),
        ("--message='x y'", "--message=x y"),
        ("~/x", "~/x"),
        ("*.py", "*.py"),
        ("{a,b}", "{a,b}"),
        ('""', ""),
        ("12", "12"),
    ],
)
def test_quotes_are_removed_as_in_bash(word, value):
    assert simple_commands(f"echo {word}")[0].argv == ("echo", value)


@pytest.mark.parametrize("word", ["$X", "${X:-y}", '"$X y"', "a$X", "$((1 + 2))", "<(true)", '"$(true) x"'])
def test_a_word_with_an_expansion_keeps_its_source(word):
    assert simple_commands(f"echo {word}")[-1].argv == ("echo", word)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('git commit -m "$(git log -1)"', ["git|log|-1", 'git|commit|-m|"$(git log -1)"']),
        ("X=$(git tag)", ["git|tag"]),
        ("echo `git tag`", ["git|tag", "echo|`git tag`"]),
        ("cat <(git log)", ["git|log", "cat|<(git log)"]),
        ("export X=$(git tag)", ["git|tag"]),
    ],
)
def test_a_substitution_runs_before_the_command_that_uses_it(command, expected):
    assert argvs(command) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("bash -c 'git commit -m x'", ["git|commit|-m|x"]),
        ("/bin/sh -ec 'a; b' name", ["a", "b"]),
        ("bash -o pipefail -lc 'a'", ["a"]),
        ('bash -c "git commit -m $M"', ["git|commit|-m|$M"]),
        ("bash -c \"bash -c 'git push'\"", ["git|push"]),
        ("eval 'git push' --tags", ["git|push|--tags"]),
        ("bash script.sh -c x", ["bash|script.sh|-c|x"]),
        ("bash", ["bash"]),
        ("env -u X A=1 git push", ["git|push"]),
        ("sudo -u bob timeout -k 3 10 nice -n 5 nohup git push", ["git|push"]),
        ("sudo A=1 -- git push", ["git|push"]),
        ("ls | xargs -n 1 -I {} git rm {}", ["ls", "git|rm|{}"]),
        ("exec git gc", ["git|gc"]),
        ("command git tag; command -v git", ["git|tag"]),
        ("env", ["env"]),
        (
            "find . -name '*.o' -exec git add {} \\; -exec ls {} +",
            ["find|.|-name|*.o|-exec|git|add|{}|;|-exec|ls|{}|+", "git|add|{}", "ls|{}"],
        ),
    ],
)
def test_a_command_that_another_program_runs_is_found(command, expected):
    assert argvs(command) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("bash <<'E'\ngit commit -qm x\nE", ["git|commit|-qm|x"]),
        ("bash -s <<< 'git tag x'", ["git|tag|x"]),
        ("bash <<'E' | tee log\ngit commit\nE", ["git|commit", "tee|log"]),
        ("cat <<'E' | sh\ngit commit\nE", ["cat", "git|commit"]),
        ("echo 'git commit -m x' | sh", ["echo|git commit -m x", "git|commit|-m|x"]),
        ("sh <<-E\n\tgit a\n\tE\ngit b", ["git|a", "git|b"]),
        ("cat > c.sh <<'E'\ngit commit\nE\nchmod +x c.sh && ./c.sh", ["cat", "chmod|+x|c.sh", "./c.sh"]),
        ("cat <<E > f && git add f\n$(git status)\ngit commit\nE", ["git|status", "cat", "git|add|f"]),
        ("python3 <<'E'\ngit('commit')\nE", ["python3"]),
    ],
)
def test_a_heredoc_counts_only_where_a_shell_reads_it(command, expected):
    assert argvs(command) == expected


@pytest.mark.parametrize(
    "command",
    [
        "echo git commit -m 'not really'",
        "# git commit",
        "echo 'x; git commit'",
        'grep "git commit" f',
        "a=git",
        "a=(git commit)",
    ],
)
def test_a_text_that_only_looks_like_a_command_is_no_command(command):
    assert not [found for found in simple_commands(command) if found.program == "git"]


@pytest.mark.parametrize(
    ("command", "decisive"),
    [
        ("a", ["a"]),
        ("a && b", ["a", "b"]),
        ("a; b", ["b"]),
        ("a || b", []),
        ("a | b", ["b"]),
        ("! a", []),
        ("a &", []),
        ("(a; b) && { c; }", ["b", "c"]),
        ("X=$(a)", ["a"]),
        ('X="$(a)"', ["a"]),
        ("echo $(a)", ["echo"]),
        ("if a; then b; fi", []),
        ("bash -c 'a && b'", ["a", "b"]),
        ("a <<E || true\nx\nE", []),
        ("a > f", ["a"]),
    ],
)
def test_a_command_is_decisive_if_the_line_cannot_succeed_without_it(command, decisive):
    assert [found.argv[0] for found in simple_commands(command) if found.decisive] == decisive


def test_a_program_is_named_without_its_folder():
    assert simple_commands("/usr/bin/git push")[0].program == "git"


def test_a_line_that_is_too_long_or_invalid_is_read_in_part():
    long = "git a\n" + "# x" * MAX_COMMAND_BYTES + "\ngit b"
    assert argvs(long) == ["git|a"]
    assert not is_fully_read(long)
    many = "a|" * (MAX_OPERATORS + 2) + "git"
    assert "git" not in argvs(many)
    assert not is_fully_read(many)
    assert argvs("git status; ((((")[:1] == ["git|status"]
    assert not is_fully_read("git status; ((((")
    assert is_fully_read("git status && é")


@pytest.mark.parametrize(
    "bit", ["(", "$(", "a;", "a&&", "eval '", "bash -c ", "cat <<E\n", "if a; then ", "`", "${", "\0", "\udcff"]
)
def test_a_deeply_nested_or_invalid_line_raises_nothing(bit):
    assert isinstance(simple_commands(bit * 3000), list)


@given(st.text(alphabet="ab gitcommit'\"$(){}|&;<>\\\n#`=-!", max_size=60))
def test_no_text_raises(command):
    for found in simple_commands(command):
        assert found.argv


def test_a_line_of_plain_words_is_split_as_the_grammar_parses_it():
    """Most lines are not parsed. The words are programs, prefixes, options and keywords."""
    rng = random.Random(1)
    words = [
        "ls",
        "git",
        "commit",
        "-m",
        "a.py",
        "./x/y",
        "-rf",
        "123",
        "1.5",
        "sudo",
        "-u",
        "root",
        "env",
        "timeout",
        "5s",
        "find",
        ".",
        "-exec",
        "rm",
        "xargs",
        "-n",
        "1",
        "nice",
        "npm",
        "run",
        "test",
        "pytest",
        "-q",
        "bash",
        "-c",
        "sh",
        "eval",
        "command",
        "-v",
        "+",
        "-",
        "--",
        ",",
        "..",
        "/",
        ":",
        "@",
        "%",
        "a:b",
        "a@b",
        "50%",
        "nohup",
        "time2",
        "in",
        "do",
        "x,",
        "+x",
        "make",
        "exec",
        "true",
        "let",
        "cd",
    ]
    for _ in range(5000):
        line = " ".join(rng.choices(words, k=rng.randrange(1, 6)))
        root = Parser(shell._BASH).parse(line.encode()).root_node
        parsed = list(shell._Reader(0).walk(root, decisive=True, depth=0))
        if shell._PLAIN.fullmatch(line) and line.split()[0] not in shell._KEYWORDS:
            assert (simple_commands(line), is_fully_read(line)) == (parsed, not root.has_error), line
            assert [each.decisive for each in simple_commands(line)] == [each.decisive for each in parsed]


def test_characters_beyond_ascii_stay_as_they_are():
    line = "echo 'größe' \"日本$(date +%é)\" b\\ü \x01c3 && sh <<E\ntouch ñ\nE\n"
    assert [command.argv for command in simple_commands(line)] == [
        ("date", "+%é"), ("echo", "größe", '"日本$(date +%é)"', "bü", "\x01c3"), ("touch", "ñ"),
    ]  # fmt: skip


def test_characters_beyond_ascii_do_not_crash_the_parser():
    """The scanner of tree-sitter-bash read beyond a table of C's library, which crashed only now and then."""
    for _ in range(3000):
        assert not is_fully_read("{\U001029ca'Q\U000ee36e=R\U00081ce3")
