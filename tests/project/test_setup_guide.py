"""The page for users of the monitoring setup guide answers every line of the guide, and what it says exists.

``tests/data/setup-guide.txt`` is the guide.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.labels import IDENTITY_LABELS
from tests.support.places import ROOT

GUIDE = (ROOT / "tests" / "data" / "setup-guide.txt").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "from-the-setup-guide.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.replace("\\|", "|").split())
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", GUIDE, re.DOTALL)
# Lines of shell blocks that are sentences.
PROSE = re.compile(
    r"^\(|^# |^\d\. |^#$|^OTEL Collector logs →|^Check dashboard queries|^- Grafana Cloud|^[│┌└↓ ]|→ Grafana$"
)
METRIC = re.compile(r"^(claude_\w+)\{([\w, ]+)\}$", re.MULTILINE)


def commands() -> Iterator[str]:
    for language, block in BLOCKS:
        for line in block.splitlines() if language == "bash" else ():
            command = re.sub(r"\s+#.*$|\s*\\$", "", line.strip()).removeprefix("- ")
            if command and not PROSE.search(command):
                yield command


def files() -> Iterator[str]:
    yield from re.findall(r"[\w./-]*[\w-]+\.(?:yml|json|md)\b", GUIDE)
    yield "grafana-dashboards/"


def monitored() -> Iterator[str]:
    """Yield what the section "What Gets Monitored" names."""
    section = GUIDE.partition("What Gets Monitored")[2].partition("## 🏗️")[0]
    yield from re.findall(r"^  - (\w+):", section, re.MULTILINE)


def metrics() -> Iterator[str]:
    yield from (match[0] for match in METRIC.finditer(GUIDE))


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from [str(key)] if part is None else leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)


def settings() -> Iterator[str]:
    """Yield every value of the guide's YAML files."""
    for language, block in BLOCKS:
        if language == "yaml" and "- session_id" not in block and "- agent_id:" not in block:
            yield from leaves(yaml.safe_load(block))


def calls() -> Iterator[str]:
    """Yield every import, the beginning of every call of the SDK, and every argument with a name."""
    for language, block in BLOCKS:
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.Call):
                function = ast.get_source_segment(block, node.func) or ""
                if function.startswith("monitor."):
                    first = node.args[0]
                    yield f"{function}({ast.get_source_segment(block, first)}"
                if function.startswith(("monitor.", "track_", "AgentMonitor")):
                    yield from (
                        f"{keyword.arg}={ast.get_source_segment(block, keyword.value)}"
                        for keyword in node.keywords
                        if isinstance(keyword.value, ast.Constant)
                    )


def labels() -> Iterator[str]:
    yield from re.findall(r'"(?:agent|project|sprint)": "\w[\w-]*"', GUIDE)
    yield from re.findall(r"labels=\{[^}\n]+\}", GUIDE)


def promises() -> Iterator[str]:
    """Yield the checklist, and what the dashboards show."""
    yield from re.findall(r"^- \[ \] (.+)$", GUIDE, re.MULTILINE)
    section = GUIDE.partition("## 📈 Dashboards")[2].partition("### Import")[0]
    yield from re.findall(r"^(?:#### \d\. |- )(.+)$", section, re.MULTILINE)


@pytest.mark.parametrize("lines", [commands, files, monitored, metrics, settings, calls, labels, promises])
def test_the_page_answers_every_line_of_the_guide(lines: Any) -> None:
    found = list(dict.fromkeys(" ".join(line.split()) for line in lines()))
    assert len(found) > 4
    assert [line for line in found if line not in FLAT] == []


def test_every_metric_of_the_guide_exists_with_its_labels() -> None:
    known = {metric.prometheus_name: {*metric.labels, *IDENTITY_LABELS} for metric in catalog.METRICS}
    wanted = {name: set(keys.split(", ")) for name, keys in METRIC.findall(GUIDE)}
    assert len(wanted) == 18
    assert {name: keys - known.get(name, set()) for name, keys in wanted.items() if keys - known.get(name, set())} == {}


def test_the_page_names_only_existing_metrics() -> None:
    """Two of them are declared by programs, one is the client's prefix."""
    known = {metric.prometheus_name for metric in catalog.METRICS}
    named = set(re.findall(r"\bclaude_\w+", PAGE)) - {"claude_monitoring", "claude_alerts", "claude_code_"}
    assert named - known == {"claude_api_calls_total", "claude_agent_declared_level"}


def test_the_pages_links_exist() -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", PAGE):
        path = (ROOT / "docs" / target) if target else ROOT / "docs" / "from-the-setup-guide.md"
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, (target, anchor)


def test_the_folder_of_the_guide_installs_the_package_of_this_repository() -> None:
    """``pip install -e monitoring/python-sdk/`` is a line of the guide."""
    folder = ROOT / "monitoring" / "python-sdk"
    sdk = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert sdk["project"]["dependencies"] == ["claude-hooks-otel @ {root:parent:parent:uri}"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["version"]["path"]
    assert (folder / sdk["tool"]["hatch"]["version"]["path"]).resolve() == ROOT / own
