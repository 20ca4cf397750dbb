"""Reads a value into a model, and leaves out each optional field that does not have the expected type or range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)
# A field that is left out can reveal another one, for example behind a list. No value needs more rounds.
_ROUNDS: Final = 10
# msgspec names one field at a time. A value with more wrong fields is none of the client's.
_FIELDS: Final = 50
# How msgspec ends an error: "… - at `$.message.usage.iterations[3].input_tokens`". A key of a mapping is written as "[...]".
_PLACE: Final = re.compile(r" - at `\$([^`]*)`$")
_PART: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")


def read_tolerantly(
    validate: Callable[[Any], _Model], value: dict[str, Any], *, skip: int = 0
) -> tuple[_Model, tuple[str, ...]]:
    """Return the model, and the names of the fields that were left out, with dots between their parts.

    Args:
        validate: makes the model.
        value: the parsed JSON. It is not changed.
        skip: how many leading parts of an error's location do not belong to the value, such as the tag of a union.

    Raises:
        ValidationError: a required field is missing or does not have the expected type.
    """
    left_out: list[str] = []
    for _ in range(_ROUNDS):
        try:
            return validate(value), tuple(left_out)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
            # The last item of a list comes first, so that the indexes of the others stay valid.
            paths = sorted({item["loc"][skip:] for item in problems}, key=_place, reverse=True)
            found = [path for path in paths if _leads_to_a_value(value, path)]
            if not found:
                raise
            for path in found:
                value = _without(value, path)
                left_out.append(".".join(map(str, path)))
    return validate(value), tuple(left_out)


def convert_tolerantly(kind: type[_Struct], value: dict[str, Any]) -> tuple[_Struct, tuple[str, ...]]:
    """Return a struct, and the names of the fields that were left out, with dots between their parts.

    Args:
        kind: the struct.
        value: the parsed JSON. It is not changed.

    Raises:
        msgspec.ValidationError: a required field is missing or does not have the expected type.
    """
    left_out: list[str] = []
    while True:
        try:
            return msgspec.convert(value, kind, strict=False), tuple(left_out)
        except msgspec.ValidationError as error:
            path = next(_wrong(kind, value, error), None)
            if path is None or len(left_out) >= _FIELDS:
                raise
            value = _without(value, path)
            left_out.append(".".join(map(str, path)))


def missing_field(error: msgspec.ValidationError) -> str:
    """Return the name of the required field that an error of ``convert_tolerantly`` is about, with dots between its parts."""
    place, name = _PLACE.search(str(error)), _MISSING.search(str(error))
    above = [part[1] or part[2] for part in _PART.finditer(place[1])] if place else []
    return ".".join([*above, *([name[1]] if name else [])])


def _wrong(kind: type[_Struct], value: dict[str, Any], error: msgspec.ValidationError) -> Iterator[list[int | str]]:
    """Yield the paths that an error can mean, and that lead to something that can be left out."""
    if (place := _PLACE.search(str(error))) is None or _MISSING.search(str(error)):
        return
    parts = [int(part[2]) if (part[2] or "").isdecimal() else part[1] or part[2] for part in _PART.finditer(place[1])]
    if "..." not in parts:
        if _leads_to_a_value(value, parts):
            yield parts
        return
    at = parts.index("...")
    mapping: Any = value
    for part in parts[:at]:
        mapping = mapping[part]
    for key in mapping:
        try:
            msgspec.convert(_replaced(value, parts[:at], {key: mapping[key]}), kind, strict=False)
        except msgspec.ValidationError as other_error:
            if str(other_error) == str(error):
                yield [*parts[:at], key, *parts[at + 1 :]]


def _place(path: Sequence[int | str]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _leads_to_a_value(value: Any, path: Sequence[int | str]) -> bool:
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False
    return bool(path)


def _replaced(value: Any, path: Sequence[int | str], new: Any) -> Any:
    """Return a copy of the value with something else where the path leads to."""
    if not path:
        return new
    value = copy(value)
    value[path[0]] = _replaced(value[path[0]], path[1:], new)
    return value


def _without(value: Any, path: Sequence[int | str]) -> Any:
    """Return a copy of the value without what the path leads to. Only the containers on the path are copied."""
    value, part = copy(value), path[0]
    if len(path) == 1:
        del value[part]
    else:
        value[part] = _without(value[part], path[1:])
    return value
