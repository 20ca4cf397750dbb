"""Dashboards and alerts of users rely on the names and labels of the catalog, so they stay."""

from __future__ import annotations

import re

import pytest

from claude_hooks_otel.metrics import catalog
from claude_hooks_otel.metrics.definition import Kind, Metric

# Prometheus name → labels besides agent and project. The metrics about the daemon's own health have neither.
CONTRACT = {
    "claude_sessions_total": ("source",), "claude_session_duration_seconds": (), "claude_sessions_active": (),
    "claude_prompts_total": (), "claude_turn_duration_seconds": (), "claude_turn_failures_total": ("error",),
    "claude_active_time_seconds_total": (),
    "claude_lines_added_total": ("file_type",), "claude_lines_deleted_total": ("file_type",),
    "claude_files_modified_total": (), "claude_files_read_total": (), "claude_commits_total": (),
    "claude_pull_requests_total": ("action",), "claude_branches_total": (),
    "claude_tokens_input_total": ("model", "agent_type", "cache"), "claude_tokens_output_total": ("model", "agent_type"),
    "claude_api_cost_usd_total": ("model", "agent_type"), "claude_api_requests_total": ("model", "agent_type", "outcome"),
    "claude_api_unpriced_tokens_total": ("model",),
    "claude_tool_calls_total": ("tool", "outcome"), "claude_tool_duration_seconds": ("tool",),
    "claude_permission_requests_total": ("tool", "decision"), "claude_permission_wait_seconds": (),
    "claude_subagents_total": ("agent_type", "outcome"), "claude_subagent_duration_seconds": ("agent_type",),
    "claude_agent_xp": (), "claude_agent_level": (), "claude_agent_efficiency_score": (),
    "claude_agent_quality_score": (), "claude_agent_collaboration_score": (),
    "claude_tasks_created_total": ("task_type",), "claude_tasks_completed_total": ("task_type",),
    "claude_task_duration_seconds": ("task_type",), "claude_features_delivered_total": (),
    "claude_story_points_delivered_total": (), "claude_bugs_introduced_total": (), "claude_patterns_extracted_total": (),
    "claude_test_runs_total": ("framework", "outcome"), "claude_tests_total": ("framework", "outcome"),
    "claude_test_coverage_percent": (), "claude_pr_review_duration_seconds": (),
    "claude_rate_limit_used_percent": ("window",), "claude_rate_limit_reset_timestamp_seconds": ("window",),
    "claude_context_usage_percent": (), "claude_compactions_total": ("trigger",), "claude_pattern_loads_total": ("pattern",),
    "claude_model_switches_total": (), "claude_client_info": ("version", "entrypoint", "terminal_type"),
}  # fmt: skip
HEALTH = {
    "claude_hooks_events_total", "claude_hooks_events_dropped_total", "claude_hooks_spool_depth",
    "claude_hooks_export_failures_total", "claude_hooks_export_age_seconds", "claude_hooks_price_table_info",
    "claude_hooks_transcript_only_total",
}  # fmt: skip


def test_the_catalog_has_exactly_these_names_and_labels() -> None:
    declared = {metric.prometheus_name: metric.labels for metric in catalog.METRICS if metric.common}
    assert {name: declared.get(name) for name in CONTRACT} == CONTRACT
    assert {metric.prometheus_name for metric in catalog.METRICS if not metric.common} >= HEALTH


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_the_definition_of_every_metric_is_complete(metric: Metric) -> None:
    """It has a description in whole sentences, a unit, bounded labels, and buckets if it is a histogram."""
    assert re.search(r"[.…]$", metric.meaning)
    assert len(metric.meaning) > 20
    assert metric.prometheus_name.startswith("claude_")
    assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not {"session_id", "path", "prompt", "command"} & set(metric.all_labels)


def test_no_two_metrics_share_a_name() -> None:
    names = [metric.prometheus_name for metric in catalog.METRICS]
    assert len(names) == len(set(names))
