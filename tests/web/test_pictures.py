"""The pictures of the README and the docs: each exists, is small and described, and the script makes it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT
from tests.support.terminal import missing

IMAGES = ROOT / "docs" / "images"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The name of a picture in Markdown and HTML.
NAMED = re.compile(r"(?:\]\(|src=\"|srcset=\")([^)\"]+\.(?:webp|png|svg|jpg))[)\"]")
LARGEST = 150_000


def named() -> set[Path]:
    """Return the pictures that the pages name."""
    return {(page.parent / name).resolve() for page in PAGES for name in NAMED.findall(page.read_text("utf-8"))}


def test_the_pages_name_exactly_the_pictures_that_exist() -> None:
    found = set(IMAGES.iterdir())
    assert len(found) > 5
    assert named() == found


def test_every_picture_is_small() -> None:
    assert {path.name: path.stat().st_size for path in IMAGES.iterdir() if path.stat().st_size > LARGEST} == {}


def test_every_picture_is_described() -> None:
    texts = [page.read_text("utf-8") for page in PAGES]
    described = [text for page in texts for text in re.findall(r"!\[([^]]*)\]\(|<img [^>]*alt=\"([^\"]*)\"", page)]
    assert len(described) == sum(len(re.findall(r"!\[|<img ", page)) for page in texts)
    assert all(len(max(text)) > 30 for text in described)


@pytest.mark.web
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_script_makes_every_picture(tmp_path: Path, browser: Any) -> None:
    """The browser is only asked for so that the test is skipped without one."""
    subprocess.run([sys.executable, "-m", "docs.pictures", str(tmp_path)], cwd=ROOT, check=True)
    made = {path.name for path in tmp_path.iterdir() if path.read_bytes()[8:12] == b"WEBP"}
    assert made == {path.name for path in named()}
