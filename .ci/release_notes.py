"""Prints the changelog's section of the version in the plugin's manifest. It fails if there is none, or if a tag names another version.

Usage: python .ci/release_notes.py [TAG]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def section(changelog: str, version: str) -> str:
    """Return the text below ``## VERSION - DATE``.

    Raises:
        LookupError: there is no such section, or it is empty.
    """
    found = re.search(
        rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if not found or not found[1].strip():
        raise LookupError(f"CHANGELOG.md has no section '## {version} - YEAR-MONTH-DAY' with a text")
    return found[1].strip() + "\n"


def main(arguments: list[str]) -> str:
    """Return the notes of the release that a tag names."""
    version = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))["version"]
    if arguments and arguments[0] != f"v{version}":
        raise LookupError(f"the tag {arguments[0]} does not name the version {version} of .claude-plugin/plugin.json")
    return section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)


if __name__ == "__main__":
    try:
        sys.stdout.write(main(sys.argv[1:]))
    except LookupError as error:
        sys.exit(str(error))
