"""docs/sdk.md and the examples are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sdk import names
from claude_hooks_otel.settings import Config, load
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
NOW = 1_780_000_000_000_000_000


def totals(home: Home) -> dict[str, float]:
    """Return Prometheus name → total over all labels. The total of a histogram is its count."""
    found: dict[str, float] = {}
    core = assemble_core(home, Config(), lambda: NOW)
    core.intake.take_events()
    for point in core.totals.points():
        name = point.metric.prometheus_name
        found[name] = found.get(name, 0) + (point.count or point.value / point.metric.scale)
    core.store.close()
    return found


def test_the_code_on_the_page_runs_and_records_the_promised_totals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_HOOKS_OTEL_HOME", str(tmp_path))
    monkeypatch.setattr(names, "_in_use", {})
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 6
    exec(compile("\n".join(blocks), "docs/sdk.md", "exec"), {"__name__": "page"})
    found = totals(Home(tmp_path))
    expected = {
        "claude_api_calls_total": 2, "claude_tokens_used_total": 45230, "claude_api_cost_usd_total": 0.87,
        "claude_features_delivered_total": 3, "claude_task_duration_seconds": 3, "claude_errors_total": 1,
        "claude_span_duration_seconds": 2, "claude_operation_items_out_total": 3, "claude_story_points_delivered_total": 10,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert "claude_requests_served_total" not in found  # the host's provider has the others


def test_the_configuration_on_the_page_loads(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert text is not None
    (tmp_path / "config.toml").write_text(text[1], encoding="utf-8")
    assert sorted(load(Home(tmp_path).config, {}).exporters) == ["json_lines", "mine", "postgresql", "prometheus"]


def test_the_release_job_runs_and_is_recorded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "release_job.py")],
        env={"PATH": "/usr/bin:/bin", "CLAUDE_HOOKS_OTEL_HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "book-cataloger-1.4.0.whl" in done.stdout
    found = totals(Home(tmp_path))
    assert (found["claude_tasks_completed_total"], found["claude_tasks_failed_total"]) == (1, 1)
    assert (found["claude_features_delivered_total"], found["claude_artifacts_published_total"]) == (1, 1)
    assert (found["claude_operation_items_in_total"], found["claude_operation_items_out_total"]) == (3, 2)


def test_the_error_reporter_reports_each_failure_once() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "error_reporter.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "release-bot: 3 failed\n"
