"""Labels have one spelling, and an identity comes from the first source that sets it."""

from __future__ import annotations

import pytest

from claude_hooks_otel.metrics.labels import (
    FIELDS,
    Identity,
    decode_labels,
    encode_labels,
    identity_columns,
    identity_labels,
    resolve_identity,
)


def no_name() -> str:
    raise AssertionError("the project is set, so its name is not asked for")


def test_the_first_source_that_sets_a_label_decides() -> None:
    session = {"agent": "Back End", "team": "", "other": "x"}
    configuration = {"agent": "default-agent", "project": "Shop", "team": "Core", "sprint": None}
    found = resolve_identity(session, configuration, project_name=no_name)
    assert found == Identity("back-end", "shop", "core", None)


def test_without_a_source_the_identity_has_the_default_agent_and_the_name_of_the_project() -> None:
    assert resolve_identity({}, project_name=lambda: "book-cataloger") == Identity("default", "book-cataloger")


def test_the_labels_of_an_identity_are_sorted_and_have_only_values_that_are_set() -> None:
    identity = Identity("backend", "shop", team="core")
    assert identity_labels(identity) == (("agent", "backend"), ("project", "shop"), ("team", "core"))
    assert tuple(identity_columns(identity)) == tuple(FIELDS.values())


@pytest.mark.parametrize("labels", [(), (("agent", "bäckend"), ("project", 'a"b'))])
def test_decoded_labels_equal_the_encoded_ones(labels: tuple[tuple[str, str], ...]) -> None:
    assert decode_labels(encode_labels(labels)) == labels
