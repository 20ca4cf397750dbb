"""Secrets of many kinds are removed in every form in which they are written, and harmless texts stay as they are.

The figures are exact: a rule that finds more or less changes them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache

import pytest

from claude_hooks_otel.facts.secret_redaction import SecretRedactor
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.places import DATA
from tests.support.secret_kinds import FORMS, KINDS, is_left

ALL = 10**6
RECORDED = 200  # so many texts of the recorded sessions
LONGEST = 4096  # what is kept of a text by default


@cache
def _redactor() -> SecretRedactor:
    return SecretRedactor()


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_secret_is_removed_from_commands_and_outputs(form: str) -> None:
    left = [
        kind.name
        for kind in KINDS
        if any(
            is_left(secret, text, _redactor()(FORMS[form](secret, text), ALL), form) for secret, text in kind.texts()
        )
    ]
    assert len(KINDS) == 87
    assert left == []


def test_a_secret_that_is_left_is_noticed() -> None:
    """The check itself works: without redaction, every secret is left in every form."""
    for form, write in FORMS.items():
        for kind in KINDS:
            for secret, text in kind.texts():
                assert is_left(secret, text, write(secret, text), form), (kind.name, form)


def _harmless_texts() -> list[str]:
    outputs = json.loads(gzip.decompress((DATA / "harmless_texts" / "outputs.json.gz").read_bytes()))
    runs = [path.read_text(encoding="utf-8") for path in sorted((DATA / "suite_runs").glob("*.txt"))]
    return [text[:LONGEST] for text in (*outputs, *runs, *list(_recorded_texts())[:RECORDED])]


def _recorded_texts() -> Iterator[str]:
    """Yield the different inputs and outputs of tools in the recorded sessions."""
    seen = set()
    for name in SCENARIOS:
        for hook in Scenario(name).hooks:
            for part in ("tool_input", "tool_response"):
                text = json.dumps(hook.fields.get(part))
                if text not in seen:
                    seen.add(text)
                    yield text


def test_harmless_texts_stay_as_they_are() -> None:
    texts = _harmless_texts()
    changed = [text for text in texts if _redactor()(text, ALL) != text]
    assert len(texts) >= 500
    assert changed == []
