"""Reads a value into a model, and leaves out each optional field that does not have the expected type or range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)
# A field that is left out can reveal another one, for example behind a list. No value needs more rounds.
_ROUNDS = 10


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


def _place(path: Sequence[int | str]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _leads_to_a_value(value: Any, path: Sequence[int | str]) -> bool:
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return False
    return bool(path)


def _without(value: Any, path: Sequence[int | str]) -> Any:
    """Return a copy of the value without what the path leads to. Only the containers on the path are copied."""
    value, part = copy(value), path[0]
    if len(path) == 1:
        del value[part]
    else:
        value[part] = _without(value[part], path[1:])
    return value
