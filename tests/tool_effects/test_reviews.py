"""Merged pull requests are found in the answers of GitHub and GitLab."""

from __future__ import annotations

import json

import pytest

from claude_hooks_otel.tool_effects.reviews import merged_pull_requests
from claude_hooks_otel.units import SECOND

MERGED = {
    "url": "https://github.com/acme/shop/pull/7",
    "createdAt": "2026-11-20T10:00:00Z",
    "mergedAt": "2026-11-20T12:30:00Z",
}


def test_an_answer_of_githubs_command_line_has_the_times_of_each_merged_pull_request():
    unmerged = {**MERGED, "url": "https://github.com/acme/shop/pull/8", "mergedAt": None}
    (found,) = merged_pull_requests(json.dumps([MERGED, unmerged]))
    assert found.opened_ns is not None
    assert found.merged_ns - found.opened_ns == 9000 * SECOND


def test_an_answer_of_githubs_api_has_the_times_under_other_names():
    answer = {
        "url": "https://api.github.com/repos/acme/shop/pulls/7", "html_url": "https://github.com/acme/shop/pull/7",
        "created_at": "2026-11-20T10:00:00Z", "merged_at": "2026-11-20T12:30:00Z",
    }  # fmt: skip
    assert merged_pull_requests(json.dumps(answer)) == merged_pull_requests(json.dumps(MERGED))


def test_an_answer_of_gitlabs_api_may_lack_the_time_of_opening():
    answer = {
        "web_url": "https://gitlab.com/acme/shop/-/merge_requests/3",
        "merged_at": "2026-11-20T13:30:00.500+01:00",
    }
    (github,) = merged_pull_requests(json.dumps(MERGED))
    (gitlab,) = merged_pull_requests(json.dumps(answer))
    assert (gitlab.opened_ns, gitlab.merged_ns) == (None, github.merged_ns + SECOND // 2)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "mergedAt",
        "{mergedAt",
        '{"mergedAt": 7}',
        '{"url": "https://x/y", "mergedAt": "2026-11-20T12:30:00Z"}',
        '{"url": "https://github.com/acme/shop/pull/7", "mergedAt": "yesterday"}',
        "[" * 100_000 + "mergedAt",
    ],
)
def test_any_other_output_has_no_merged_pull_request(output):
    assert merged_pull_requests(output) == []


def test_a_pull_request_with_an_invalid_time_hides_no_other():
    answer = [{**MERGED, "mergedAt": "yesterday"}, MERGED]
    assert len(merged_pull_requests(json.dumps(answer))) == 1
