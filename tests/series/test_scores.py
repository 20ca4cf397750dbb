"""Scores are computed from delivered work, with the configured weights. An agent without work has no score."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_hooks_otel.daemon.assembly import Core, assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.finished_call import FinishedCall
from claude_hooks_otel.facts.tasks import task_facts
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.series.scores import Scores, wilson_lower_bound
from claude_hooks_otel.settings import Config, QualityWeights, ScoresConfig, XpWeights
from claude_hooks_otel.timeline import SCORES_KEPT
from claude_hooks_otel.units import DAY
from tests.support.replay import Clock

NOW_NS = 1_795_000_000_000_000_000
BACKEND = {"agent": "backend", "project": "shop"}
_numbers = itertools.count()


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = assemble_core(Home(tmp_path), Config(), Clock(NOW_NS))
    yield core
    core.store.close()


def add(core: Core, *facts: model.Fact) -> None:
    with core.store.transaction():
        core.facts.upsert(*facts)


def scores(core: Core, agent: str = "backend", config: ScoresConfig | None = None) -> dict[str, float]:
    points = Scores(core.facts, config or ScoresConfig()).points(list(core.totals.points()), NOW_NS)
    return {
        point.metric.name.removeprefix("claude.agent."): point.value / point.metric.scale
        for point in points
        if dict(point.labels)["agent"] == agent
    }


def task(points: int, kind: str = "task", completed_ns: int | None = NOW_NS, **more: Any) -> model.Task:
    return model.Task(
        session_id="s", task_id=str(next(_numbers)), task_type=kind, story_points=points, created_ns=NOW_NS - 1,
        completed_ns=completed_ns, **BACKEND | more,
    )  # fmt: skip


def request(tokens: int, at_ns: int = NOW_NS) -> model.ApiRequest:
    return model.ApiRequest(
        message_id=str(next(_numbers)), answer_id="", model="m", agent_type="main", at_ns=at_ns, input_tokens=tokens, output_tokens=0,
        cache_read_tokens=10**9, cache_write_5m_tokens=0, cache_write_1h_tokens=0, cost=0, **BACKEND,
    )  # fmt: skip


def suite(session: str, outcome: str, at_ns: int = NOW_NS) -> model.SuiteRun:
    return model.SuiteRun(
        tool_use_id=str(next(_numbers)), ordinal=0, framework="pytest", outcome=outcome, session_id=session, at_ns=at_ns,
        failed=int(outcome == "failed"), **BACKEND,
    )  # fmt: skip


def pull_request(action: str) -> model.PullRequest:
    return model.PullRequest(address_digest=str(next(_numbers)), action=action, at_ns=NOW_NS, **BACKEND)


def test_experience_follows_the_example_of_its_definition(core: Core) -> None:
    add(core, task(5, "feature"), task(7, "feature"))
    add(
        core,
        *(
            model.GitCommit(repository="shop", sha=f"{n:040x}", action="committed", is_new=1, **BACKEND)
            for n in range(9)
        ),
    )
    add(core, model.Regression(session_id="s", framework="pytest", bugs=1, at_ns=NOW_NS, **BACKEND))
    found = scores(core)
    assert (found["xp"], found["level"]) == (163, 2)


@pytest.mark.parametrize(("points", "level"), [(0, 1), (9, 1), (10, 2), (39, 2), (40, 3), (250, 6)])
def test_each_level_needs_more_points_than_the_one_before(core: Core, points: int, level: int) -> None:
    add(core, *(task(5) for _ in range(points // 5)), *(task(1) for _ in range(points % 5)))
    assert scores(core).get("level", 1) == level


def test_experience_is_never_negative_and_uses_the_configured_weights(core: Core) -> None:
    add(core, task(3), model.Regression(session_id="s", framework="pytest", bugs=9, at_ns=NOW_NS, **BACKEND))
    assert scores(core)["xp"] == 0
    mild = ScoresConfig(xp=XpWeights(story_point=1, bug_introduced=0.1))
    assert scores(core, config=mild)["xp"] == pytest.approx(2.1)


def test_efficiency_is_points_per_new_token_in_the_window(core: Core) -> None:
    """Tokens from the cache, open tasks, and work before the window do not count."""
    old = NOW_NS - 31 * DAY
    add(
        core,
        task(12),
        task(100, completed_ns=None),
        task(100, completed_ns=old),
        request(400_000),
        request(10**9, old),
    )
    assert scores(core)["efficiency.score"] == pytest.approx(0.00003)


def test_an_agent_without_work_has_no_score(core: Core) -> None:
    add(core, model.Session(session_id="s", first_seen_ns=NOW_NS, last_seen_ns=NOW_NS, **BACKEND))
    assert scores(core) == {}


def test_an_agent_without_delivered_points_has_the_lowest_efficiency(core: Core) -> None:
    add(core, request(1000))
    assert scores(core)["efficiency.score"] == 0


def test_quality_depends_on_the_last_run_of_each_test_suite(core: Core) -> None:
    """Tests that fail first and pass in the end are good work. The reverse is not."""
    add(core, *(run for n in range(9) for run in (suite(f"g{n}", "failed", NOW_NS - 5), suite(f"g{n}", "passed"))))
    add(core, suite("bad", "passed", NOW_NS - 5), suite("bad", "failed"))
    assert scores(core)["quality.score"] == pytest.approx(wilson_lower_bound(9, 10), abs=1e-9)


def test_quality_counts_merged_pull_requests_and_bugs(core: Core) -> None:
    add(core, pull_request("created"), pull_request("merged"), pull_request("merged"), pull_request("closed"))
    add(core, model.Regression(session_id="s", framework="pytest", bugs=2, at_ns=NOW_NS, **BACKEND))
    assert scores(core)["quality.score"] == pytest.approx(wilson_lower_bound(2, 5), abs=1e-9)
    lenient = ScoresConfig(quality=QualityWeights(bug_introduced=0, pull_request=10))
    assert scores(core, config=lenient)["quality.score"] == pytest.approx(wilson_lower_bound(20, 30), abs=1e-9)


def test_collaboration_counts_successful_hand_overs(core: Core) -> None:
    turns = [
        model.SubagentTurn(
            agent_id=f"a{n}",
            ended_ns=NOW_NS + n,
            agent_type="x",
            outcome="failed" if n == 0 else "completed",
            **BACKEND,
        )
        for n in range(4)
    ]
    add(core, *turns, task(1, owner="ann"), task(1, owner="bob", completed_ns=None), task(1))
    assert scores(core)["collaboration.score"] == pytest.approx(wilson_lower_bound(4, 6), abs=1e-9)


def test_scores_are_kept_for_some_seconds_unless_they_are_requested_again(core: Core) -> None:
    kept = Scores(core.facts, ScoresConfig())
    assert kept.points([], NOW_NS) == []
    add(core, request(1000))
    assert kept.points([], NOW_NS + SCORES_KEPT - 1) == []
    assert len(kept.points([], NOW_NS + 1, recompute=True)) == 1
    add(core, pull_request("merged"))
    assert len(kept.points([], NOW_NS + 1 + SCORES_KEPT)) == 3


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_an_estimated_share_is_between_zero_and_the_observed_share(good: int, total: int) -> None:
    bound = wilson_lower_bound(min(good, total), total)
    assert 0 <= bound <= min(good, total) / total + 1e-12


@given(st.integers(1, 1000))
def test_more_observations_of_the_same_share_raise_the_estimate(count: int) -> None:
    assert wilson_lower_bound(count * 3, count * 4) < wilson_lower_bound((count + 1) * 3, (count + 1) * 4)


def created(arguments: dict[str, Any], defaults: dict[str, str] | None = None) -> FinishedCall:
    return FinishedCall(
        tool_use_id="t", session_id="s", tool="TaskCreate", arguments=arguments, result={"task": {"id": "1"}}, succeeded=True,
        ended_ns=0, labels=BACKEND, task_defaults=defaults or {},
    )  # fmt: skip


# -- the facts behind scores and counters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "kind", "points"),
    [
        ("[5] Add login", "task", 5), ("feat(5): add login", "feature", 5), ("feat(api): add login", "feature", 1),
        ("[bug][3 pts] fix it", "bug", 3), ("fix[8]: it", "bug", 8), ("feat (2sp): x", "feature", 2),
        ("Call 5 times", "task", 1), ("feat: answer (42)", "feature", 1), ("[0] nothing", "task", 1),
    ],
)  # fmt: skip
def test_a_task_subject_may_name_type_and_points(subject: str, kind: str, points: int) -> None:
    (fact,) = task_facts(created({"subject": subject}))
    assert (fact.task_type, fact.story_points) == (kind, points)


def test_metadata_wins_over_the_subject_and_the_subject_over_the_environment() -> None:
    defaults = {"task_complexity": "2", "task_type": "docs"}
    for metadata, subject, expected in (
        ({"story_points": 8, "type": "test"}, "feat(5): x", ("test", 8)),
        ({}, "feat(5): x", ("feature", 5)),
        ({}, "x", ("docs", 2)),
    ):
        (fact,) = task_facts(created({"subject": subject, "metadata": metadata}, defaults))
        assert (fact.task_type, fact.story_points) == expected


def test_a_bug_counts_for_the_agent_that_its_task_names(core: Core) -> None:
    facts = task_facts(created({"subject": "fix: x", "metadata": {"introduced_by": "Front End"}}))
    add(core, *facts)
    bugs = {
        dict(point.labels)["agent"]: point.value
        for point in core.totals.points()
        if point.metric.name == "claude.bugs.introduced"
    }
    assert bugs == {"front-end": 1}


@pytest.mark.parametrize("opened_first", [True, False])
def test_a_review_lasts_from_opening_to_merge_and_counts_for_the_agent_that_opened_it(
    core: Core, opened_first: bool
) -> None:
    opened = model.PullRequestReview(address_digest="d", opened_ns=NOW_NS, **BACKEND)
    merged = model.PullRequestReview(address_digest="d", merged_ns=NOW_NS + 3600 * 10**9)
    add(core, *((opened, merged) if opened_first else (merged, opened)))
    add(
        core,
        model.Session(session_id="s", first_seen_ns=NOW_NS, last_seen_ns=NOW_NS, agent="other", project="shop"),
    )
    with core.store.transaction():
        core.intake._pairing.pair("s", NOW_NS + 10 * 10**9, NOW_NS)
    (point,) = [point for point in core.totals.points() if point.metric.name == "claude.pr.review.duration"]
    assert dict(point.labels) == BACKEND
    assert (point.count, point.value) == (1, 3600 * 10**9)


def test_tests_that_a_session_leaves_failing_count_as_a_bug(core: Core) -> None:
    """The last run of a suite is compared with the first. If it is no worse, there is no bug."""
    start = model.Session(session_id="worse", first_seen_ns=NOW_NS, last_seen_ns=NOW_NS, **BACKEND)
    add(core, start, suite("worse", "passed", NOW_NS - 9), suite("worse", "failed", NOW_NS - 1))
    add(core, suite("better", "failed", NOW_NS - 9), suite("better", "passed", NOW_NS - 1), suite("once", "failed"))
    with core.store.transaction():
        for session in ("worse", "better", "once"):
            core.facts.upsert(*core.intake._pairing._regressions(session))
            core.facts.upsert(*core.intake._pairing._regressions(session))
    assert [(bug.session_id, bug.bugs) for bug in core.facts.select(model.Regression)] == [("worse", 1)]
