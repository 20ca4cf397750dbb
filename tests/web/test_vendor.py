"""The chart library is the file of its npm package, unchanged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from claude_hooks_otel.web.app import STATIC
from tests.support.places import ROOT

VENDOR = STATIC / "vendor"
NOTE = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
# .ci/run installs the package here.
PACKAGE = ROOT / ".cache" / "page" / "node_modules" / NOTE["package"]


def test_the_files_have_the_digests_that_the_note_has() -> None:
    assert {path.name for path in VENDOR.iterdir()} == {*NOTE["files"], "vendor.json"}
    for name, file in NOTE["files"].items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == file["sha256"], name


@pytest.mark.skipif(not PACKAGE.is_dir(), reason=f"the npm package {NOTE['package']} is not installed in .cache/page")
def test_the_files_are_those_of_the_npm_package() -> None:
    package = json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))
    assert (package["version"], package["license"]) == (NOTE["version"], NOTE["licence"])
    for name, file in NOTE["files"].items():
        assert Path(PACKAGE, file["from"]).read_bytes() == (VENDOR / name).read_bytes(), name


def test_no_file_of_the_page_names_another_host() -> None:
    for path in [*STATIC.glob("*.*"), *(STATIC.parent / "templates").glob("*.html")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
