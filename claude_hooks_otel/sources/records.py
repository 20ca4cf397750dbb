"""Reads the JSON records of one line, also of a damaged one.

A crash or a full disk can join two records on one line, cut one, or leave NUL bytes and bytes that are not UTF-8. Everything that is still
a complete record is read.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from claude_hooks_otel.metrics.outcomes import Damage

# How many places in one line are tried as the start of a record. A cut record leaves as many open objects as it is deep: a few.
_TRIES: Final = 1000
_BEGIN: Final = re.compile(r'\{\s*"')
# Bytes of a line from which on it is parsed as bytes: as text it would need four times the memory, if one of its characters does.
_LARGE: Final = 1 << 20
_DECODER: Final = json.JSONDecoder(strict=False)  # allows control characters in strings


@dataclass(frozen=True, slots=True)
class Records:
    """What a line holds.

    Attributes:
        values: its complete records.
        damage: what is wrong with the line.
    """

    values: tuple[dict[str, Any], ...]
    damage: tuple[Damage, ...] = ()


def read_records(line: bytes) -> Records:
    """Return the records of a line. A value that is not an object is not a record."""
    try:
        value = parsed(line)
    except (ValueError, RecursionError):
        return _salvage(line)
    if b"\\ud" in line or b"\\uD" in line:
        value = without_surrogates(value)
    return Records((value,) if isinstance(value, dict) else ())


def parsed(line: bytes) -> Any:
    """Return the JSON value of a line.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    if len(line) > _LARGE:
        with suppress(ValueError):  # it refuses some texts that ``json`` reads, such as lone surrogates
            return from_json(line)
    return json.loads(line)


def without_surrogates(value: Any) -> Any:
    """Return a JSON value without lone surrogates, which UTF-8 cannot encode."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def _salvage(line: bytes) -> Records:
    damage = []
    if b"\0" in line:
        line = line.replace(b"\0", b"")
        damage.append(Damage.NUL)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="replace")
        damage.append(Damage.ENCODING)
    values, lost = [], False
    end, tries = 0, 0
    while (begin := _BEGIN.search(text, end)) and tries < _TRIES:
        lost = lost or bool(text[end : begin.start()].strip())
        try:
            value, end = _DECODER.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            end, tries, lost = begin.start() + 1, tries + 1, True
            continue
        if is_record(value):
            values.append(without_surrogates(value))
        else:
            lost = True  # a part of a record that is cut before it or behind it
    if lost or text[end:].strip():
        damage.append(Damage.CUT)
    return Records(tuple(values), tuple(damage))


def is_record(value: Any) -> bool:
    """Return whether an object is a record, and not a part of one: every record has a type and a session."""
    return isinstance(value, dict) and isinstance(value.get("type"), str) and isinstance(value.get("sessionId"), str)
