"""Tells whether the value after a telling name is a secret, or code, a placeholder or an ordinary word."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

# Bits for a character. 16 random hexadecimal digits nearly always have this much, repeated characters do not.
_ENTROPY: Final = 2.8
# Lengths in bytes: of the shortest value that can be random, of the shortest with letters and digits, of a long one.
_RANDOM: Final = 8
_SHORT: Final = 6
_LONG: Final = 32

# What programs, documents and templates write where a secret would be.
_WORDS: Final = frozenset(
    b"a an and any api_key apikey argument array as auth base64 basic bearer bool boolean bytes changed char changeme changeit "
    b"const credential credentials default disabled email empty enabled encrypted env environ environment error example "
    b"expired failed false field file final float for foo from function get hash hidden id if in incorrect input int integer "
    b"invalid is key let list login masked match missing name new nil no none not null number object of off ok on option optional options or "
    b"parameter pass passphrase passwd password path placeholder prompt protected pw pwd redacted removed required reset return returns "
    b"secret self set settings str string stripped test text the this to token true type undefined unset update updated use "
    b"user username val valid value var void wrong yes your".split()
)  # fmt: skip
_TEMPLATE: Final = re.compile(
    rb"[$%]?[{(<\[]|#[0-9a-f]{3,8}\Z|:?\*{3}|\$\w|%\(|\.{3}|x{4}|\\|[-=_#]{3}|\xe2\x80\xa6|&lt;", re.IGNORECASE
)
_MASKED: Final = re.compile(rb"(.)\1*|(?:your|enter|insert)[-_ ].*", re.IGNORECASE | re.DOTALL)
_REDACTED: Final = re.compile(rb"\[?REDACTED", re.IGNORECASE)
_NAMES: Final = re.compile(rb"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+\Z")
# A name in a program may end with a number, and a version is one.
_IDENTIFIER: Final = re.compile(
    rb"[A-Za-z_]+\d{1,2}\Z|[A-Za-z_]\w*(?:(?:\.|::|->)\w+)+\Z|v?\d+(?:\.\d+)+|\d+[a-z]{1,2}\Z|[A-Z][A-Z0-9_]*\Z"
)
_CONSTANT: Final = re.compile(rb"[A-Z][A-Z_]*\Z")
_WORD: Final = re.compile(rb"[A-Za-z_]+\Z")
# A variable with the name of a secret, and not the secret.
_OWN_NAME: Final = re.compile(rb"_(?:password|passwd|pwd|secret|token)\Z", re.IGNORECASE)
_PATH: Final = re.compile(rb"[~.]{0,2}/(?:[\w.-]+(?:/|\Z))*\Z|[\w.-]+/[\w./-]+\.\w{1,5}\Z|[a-z]+://|[A-Z]:[\\/]")
_DIGIT: Final = re.compile(rb"\d")
_LETTER: Final = re.compile(rb"[A-Za-z]")
_UPPER: Final = re.compile(rb"[A-Z]")
_LOWER: Final = re.compile(rb"[a-z]")
_HEXADECIMAL: Final = re.compile(rb"[0-9a-f]{16,}|[0-9A-F]{16,}")
# A new kind of character: random texts have many of them. The capital at the beginning of a word does not count twice.
_CHANGE: Final = re.compile(rb"[a-z][A-Z0-9]|[A-Z][0-9]|[0-9][A-Za-z]|[A-Z]{2}[a-z]")
_WORDS_OF: Final = re.compile(rb"[A-Za-z][a-z]{2,}")


def is_placeholder(value: bytes) -> bool:
    """Tell whether a value only stands for a secret: a variable, a template, asterisks, a word for it."""
    return (
        value.strip(b"\"'_-.:!?").lower() in _WORDS
        or _TEMPLATE.match(value) is not None
        or _MASKED.fullmatch(value) is not None
        or _REDACTED.match(value) is not None
    )


def looks_random(value: bytes) -> bool:
    """Tell whether a machine made a value: letters and digits that change often, as they do not in words, names and paths."""
    if len(value) < _RANDOM or is_placeholder(value) or _looks_like_path(value) or b" " in value:
        return False
    if not _LETTER.search(value) or entropy(value) < min(_ENTROPY, math.log2(len(value)) - 0.8):
        return False
    if _HEXADECIMAL.fullmatch(value):
        return _DIGIT.search(value) is not None
    changes = sum(1 for _ in _CHANGE.finditer(value))
    return changes >= max(2, len(value) / (8 if _DIGIT.search(value) else 4)) and not (
        _NAMES.match(value) and len(_WORDS_OF.findall(value)) * 12 > len(value)
    )


def has_digits(value: bytes) -> bool:
    """Tell whether a value has letters and digits as passwords have, and is neither a name in a program nor a path."""
    return (
        len(value) >= _SHORT
        and _DIGIT.search(value) is not None
        and _LETTER.search(value) is not None
        and not (is_placeholder(value) or _looks_like_path(value) or _IDENTIFIER.match(value) or b" " in value)
    )


def is_password(value: bytes, *, quoted: bool, in_code: bool, ends_line: bool) -> bool:
    """Tell whether a value after a name like ``password`` is one. People choose passwords, so words count, too.

    Args:
        value: what follows the name.
        quoted: whether it stands in quotes.
        in_code: whether the place looks like a program, in which a word without quotes is a name.
        ends_line: whether the value is the last on its line.
    """
    if len(value) < 3 or is_placeholder(value) or _looks_like_path(value) or _CONSTANT.match(value):
        return False
    if quoted:
        return not _is_sentence(value)
    if _NAMES.match(value):
        return looks_random(value) and not in_code
    if _WORD.match(value):
        return not in_code and ends_line and not _OWN_NAME.search(value)
    return True


def entropy(value: bytes) -> float:
    """Return Shannon's entropy in bits for a byte."""
    count = len(value)
    return -sum(times / count * math.log2(times / count) for times in Counter(value).values())


def _is_sentence(value: bytes) -> bool:
    """Tell whether a value in quotes is a label or a description."""
    return (value.count(b" ") > 1 and not _DIGIT.search(value)) or value.rstrip().endswith(b":") or value[-1:].isspace()


def _looks_like_path(value: bytes) -> bool:
    if not _PATH.match(value):
        return False
    # Base64 also has slashes, but its parts are random.
    return not (
        len(value) >= _LONG
        and b"." not in value
        and _LOWER.search(value)
        and _UPPER.search(value)
        and _DIGIT.search(value)
        and value.count(b"/") < 4
    )
