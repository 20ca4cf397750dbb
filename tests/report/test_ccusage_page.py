"""The page about numbers names every rule by which ccusage counts differently."""

from __future__ import annotations

from tests.support.ccusage import VERSION
from tests.support.ccusage_rules import Rule
from tests.support.places import ROOT


def test_the_page_names_every_rule_and_the_version() -> None:
    page = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    section = page.partition("## Compared with ccusage\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"| {theirs} | {ours} |" for theirs, ours in (rule.value for rule in Rule)]
    assert f"ccusage {VERSION}" in section
