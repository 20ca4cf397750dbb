"""Changes to a JSON text that keep everything else byte for byte: order, indentation, spelling, line ends.

``json`` reads and writes the values. This module knows where they are in the text.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Path = Sequence[str | int]

_BLANK = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^ \t\r\n,\]}]+")
# The indentation of a level, if the text does not show any.
DEFAULT_INDENT = "  "


class JsonTextError(ValueError):
    """The text is not a JSON document that can be changed."""


@dataclass(slots=True)
class _Node:
    """Where a value is: ``text[begin:end]``, and the members of an object or array."""

    begin: int
    end: int = 0
    members: list[_Member] = field(default_factory=list)

    def find(self, key: str | int) -> _Member | None:
        """Return the member of that name or index. Of several with one name the last counts, as in every JSON parser."""
        if isinstance(key, int):
            return self.members[key] if key < len(self.members) else None
        return next((member for member in reversed(self.members) if member.key == key), None)


@dataclass(slots=True)
class _Member:
    begin: int  # of the key in an object, of the value in an array
    key: str | None
    node: _Node


class JsonText:
    """A JSON document as it is in a file.

    Args:
        text: the document; a byte order mark before it stays.

    Raises:
        JsonTextError: it is not JSON. The message says where.
    """

    def __init__(self, text: str) -> None:
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        self.text = text.removeprefix("\ufeff")
        try:
            self.value = _loads(self.text)
        except json.JSONDecodeError as error:
            raise JsonTextError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
        except ValueError as error:
            raise JsonTextError(str(error)) from None
        except RecursionError:
            raise JsonTextError("nested too deeply") from None

    def __str__(self) -> str:
        return self._mark + self.text

    def get(self, path: Path) -> Any:
        """Return the value at ``path``, or None."""
        value = self.value
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def set(self, path: Path, value: object) -> None:
        """Replace the value at ``path``, or add it as the last member of the object or array above it."""
        *above, key = path
        parent = self._node(above)
        if (member := parent.find(key)) is not None:
            depth = len(path)
            self._splice(member.node.begin, member.node.end, self._dump(value, depth))
            return
        name = "" if isinstance(key, int) else f"{json.dumps(key, ensure_ascii=False)}: "
        line = self._newline + self._indent * len(path)
        if parent.members:
            end = parent.members[-1].node.end
            self._splice(end, end, f",{line}{name}{self._dump(value, len(path))}")
            return
        close = self._newline + self._indent * len(above)
        self._splice(parent.begin + 1, parent.end - 1, f"{line}{name}{self._dump(value, len(path))}{close}")

    def text_of(self, path: Path) -> str | None:
        """Return the value at ``path`` as it is written; None if there is none."""
        try:
            node = self._node(path)
        except KeyError:
            return None
        return self.text[node.begin : node.end]

    def set_text(self, path: Path, text: str) -> None:
        """Replace the value at ``path`` by one as it is to be written. Nothing happens if there is none."""
        with contextlib.suppress(KeyError):
            node = self._node(path)
            self._splice(node.begin, node.end, text)

    def remove(self, path: Path) -> None:
        """Remove the member at ``path`` with its comma, if there is one."""
        *above, key = path
        parent = self._node(above)
        member = parent.find(key)
        if member is None:
            return
        index = next(i for i, other in enumerate(parent.members) if other is member)
        if len(parent.members) == 1:
            self._splice(parent.begin + 1, parent.end - 1, "")
        elif index:
            self._splice(parent.members[index - 1].node.end, member.node.end, "")
        else:
            self._splice(member.begin, parent.members[1].begin, "")

    def _splice(self, begin: int, end: int, text: str) -> None:
        self.text = self.text[:begin] + text + self.text[end:]
        self.value = _loads(self.text)

    def _node(self, path: Path) -> _Node:
        node = _scan(self.text, _skip(self.text, 0))
        for key in path:
            member = node.find(key)
            if member is None:
                raise KeyError(key)
            node = member.node
        return node

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def _indent(self) -> str:
        """The white space before the first member of the document."""
        found = re.match(r"\s*[{\[][^\S\n]*\r?\n([ \t]+)\S", self.text)
        return found[1] if found else DEFAULT_INDENT

    def _dump(self, value: object, depth: int) -> str:
        text = json.dumps(value, ensure_ascii=False, indent=self._indent)
        return text.replace("\n", self._newline + self._indent * depth)


def _loads(text: str) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _skip(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _scan(text: str, begin: int) -> _Node:
    """Return where the value at ``begin`` ends and where its members are. The text must be valid JSON."""
    node = _Node(begin)
    opening = text[begin]
    if opening == '"':
        node.end = _string_end(text, begin)
    elif opening in "{[":
        position = _skip(text, begin + 1)
        while text[position] not in "}]":
            start, key = position, None
            if opening == "{":
                end = _string_end(text, position)
                key = json.loads(text[position:end])
                position = _skip(text, _skip(text, end) + 1)  # the colon
            member = _Member(start, key, _scan(text, position))
            node.members.append(member)
            position = _skip(text, member.node.end)
            if text[position] == ",":
                position = _skip(text, position + 1)
        node.end = position + 1
    else:
        found = _SCALAR.match(text, begin)
        node.end = found.end() if found else begin
    return node


def _string_end(text: str, begin: int) -> int:
    position = begin + 1
    while text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1
