"""What is wrong with a configuration, in sentences that name the key or variable and repeat no value, which may be a secret."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, get_args

from pydantic import ValidationError

# Put before a variable's standard name, it survives Claude Code's removal of OTEL_*: CLAUDE_HOOKS_OTEL_SERVICE_NAME.
PREFIX = "CLAUDE_HOOKS_"
# CLAUDE_HOOKS_OTEL_<SECTION>__<KEY> sets one key of the file.
KEY_PREFIX = f"{PREFIX}OTEL_"
NESTING = "__"


class ConfigError(Exception):
    """The configuration cannot be used. The message says what was expected, where, and what to do."""


def problems(error: ValidationError, model: Any, variables: Container[str] = ()) -> Iterator[str]:
    """Return one sentence for each thing that is wrong.

    Args:
        error: pydantic's.
        model: the model that refused the values.
        variables: the names of the variables that set keys.
    """
    for problem in error.errors(include_input=False, include_url=False):
        location = [str(part) for part in problem["loc"] if part != "[key]"]
        name = ".".join(location)
        variable = f"{KEY_PREFIX}{NESTING.join(location).upper()}"
        if variable in variables:
            name = f"{name} (from {variable})"
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {name}; known here: {', '.join(_known_keys(model, location[:-1]))}"
        elif location[:1] == ["otel"] and problem["type"] == "string_pattern_mismatch":
            yield f"unknown key {name}; known here: OpenTelemetry's variables, such as OTEL_EXPORTER_OTLP_ENDPOINT"
        elif problem["type"] in {"dict_type", "model_type"}:
            yield f"{name}: a table is expected here, written [{name}]"
        else:
            yield f"{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _known_keys(model: Any, location: list[str]) -> list[str]:
    """Return the keys that the table at ``location`` may hold."""
    for part in location:
        annotation = model.model_fields[part].annotation if hasattr(model, "model_fields") else None
        # A table of tables ([prices."name"]): its values' type, in place of the name.
        model = annotation if annotation is not None else get_args(model)[-1]
    return list(model.model_fields)
