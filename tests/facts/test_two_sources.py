"""Hooks alone and transcripts alone give the same totals as both together, except for metrics that only one of them has."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.facts import model
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.known_differences import NO_HOOKS, NO_TRANSCRIPT
from tests.support.replay import Replay, adopt_transcripts, play

Totals = dict[tuple[str, tuple[tuple[str, str], ...]], Any]

# Metrics of both sources. Tokens, cost and requests come only from transcripts. Durations, starts and ends come from hooks.
IN_BOTH_SOURCES = {
    "claude.branches", "claude.commits", "claude.compactions", "claude.features.delivered", "claude.files.modified",
    "claude.files.read", "claude.lines.added", "claude.lines.deleted", "claude.prompts", "claude.pull.requests",
    "claude.story_points.delivered", "claude.subagents", "claude.tasks.completed", "claude.tasks.created", "claude.test.runs",
    "claude.tests", "claude.tool.calls", "claude.bugs.introduced", "claude.patterns.extracted",
}  # fmt: skip
# Outcomes of calls that never ran or did not end by themselves. No hook reports them.
TRANSCRIPT_ONLY = {"denied", "interrupted", "invalid", "rejected"}
# scenario → metric → (total of hooks alone, total of transcripts alone, why they differ).
DIFFERENT: dict[str, dict[str, tuple[int, int, str]]] = {
    "git-work": {"claude.commits": (10, 9, "a sub-agent's transcript does not have the client's report of a commit")},
    "permissions": {"claude.prompts": (20, 19, "a prompt that another hook blocks is in no transcript")},
    "resume": {
        "claude.prompts": (12, 11, "the recording blanks the line that holds a prompt typed while Claude worked")
    },
    "subagents": {"claude.subagents": (20, 18, "a transcript does not say when an agent was woken for another turn")},
    "teams": {"claude.subagents": (3, 2, "a transcript does not say when a teammate was woken for another turn")},
    "tui-more": {"claude.tool.calls": (9, 10, "Ctrl-C twice: the client was gone before the hook of its last call")},
}


def _totals(replay: Replay) -> Totals:
    found = {
        (name, labels): value
        for (name, labels), value in replay.totals().items()
        if name in IN_BOTH_SOURCES and dict(labels).get("outcome") not in TRANSCRIPT_ONLY
    }
    replay.core.store.close()
    return _without_subagent_outcomes(found)


def _without_subagent_outcomes(totals: Totals) -> Totals:
    """Return the totals without the outcomes of sub-agents. Only hooks report them."""
    kept = {key: value for key, value in totals.items() if key[0] != "claude.subagents"}
    for (name, labels), value in totals.items():
        if name == "claude.subagents":
            key = (name, tuple(pair for pair in labels if pair[0] != "outcome"))
            kept[key] = kept.get(key, 0) + value
    return kept


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_source_alone_gives_the_totals_of_both(name: str, tmp_path: Path) -> None:
    scenario = Scenario(name)
    leave_out = {NO_TRANSCRIPT, *NO_HOOKS}
    hooks = Replay(scenario, tmp_path / "hooks", leave_out=leave_out)
    hooks.spool(hooks.hooks)
    hooks.finish()
    transcripts = Replay(scenario, tmp_path / "transcripts", leave_out=leave_out)
    transcripts.write_transcripts()
    for left_out in NO_HOOKS:
        for path in transcripts.projects.glob(f"*/{left_out}*.jsonl"):
            path.unlink()
    adopt_transcripts(transcripts)
    transcripts.finish()
    both = _totals(play(scenario, tmp_path / "both", leave_out=leave_out))
    by_hooks, by_transcripts = _totals(hooks), _totals(transcripts)
    for metric, (expected_by_hooks, expected_by_transcripts, _) in DIFFERENT.get(name, {}).items():
        for totals, expected in ((by_hooks, expected_by_hooks), (by_transcripts, expected_by_transcripts)):
            assert sum(value for key, value in totals.items() if key[0] == metric) == expected
        for totals in (by_hooks, by_transcripts, both):
            for key in [key for key in totals if key[0] == metric]:
                del totals[key]
    assert by_hooks == both
    assert by_transcripts == both


# Commits that the client does not report. The recordings have no .git folder with a reflog. tests/tool_effects/test_reflog.py reads real ones.
UNSEEN_COMMITS = {
    "commit-two-chained": "the client reports the first commit of a line",
    "commit-two-semicolon": "the client reports the first commit of a line",
    "revert": "the client reports no reverts",
    "commit-quiet": "git commit -q prints nothing",
    "commit-script": "a script prints its own output",
    "branch-merge": "a merge prints no commit line",
    "rebase": "git prints no line for rewritten commits",
    "commit-background": "the result comes before the commit",
    "cherry-pick": "there is a quiet commit before it",
}


def test_new_commits_equal_those_of_git(tmp_path: Path) -> None:
    """Each recorded command line with git counts as many commits as git has afterwards, if the client reports them."""
    scenario = Scenario("git-work")
    replay = play(scenario, tmp_path)
    counted = Counter(commit.session_id for commit in replay.core.facts.select(model.GitCommit, "is_new = 1"))
    replay.core.store.close()
    wrong = {
        case["case"]: (counted[case["session"]], int(case["commits_after"]) - int(case["commits_before"]))
        for case in scenario.truth["git"]
        if "commits_after" in case
        if counted[case["session"]] != int(case["commits_after"]) - int(case["commits_before"])
    }
    assert wrong.keys() == UNSEEN_COMMITS.keys()
    assert all(ours < gits for ours, gits in wrong.values())


def test_changed_lines_equal_those_of_git(tmp_path: Path) -> None:
    """They are compared with ``git diff --numstat``. Files that a shell command writes do not count."""
    scenario = Scenario("lines")
    replay = play(scenario, tmp_path)
    found: dict[str, Counter[str]] = {}
    for change, session_id in replay.core.store.connection.execute(
        "SELECT tool_use_id, session_id FROM tool_call"
    ).fetchall():
        for fact in replay.core.facts.select(model.FileChange, "tool_use_id = ?", change):
            found.setdefault(session_id, Counter()).update(added=fact.added, deleted=fact.deleted)
    replay.core.store.close()
    for case in scenario.truth["lines"]:
        rows = [row.split("\t") for row in case["numstat"].splitlines()]
        expected = (sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows))
        ours = found.get(case["session"], Counter())
        if case["case"] in {"bash-writes", "edit-twice-back-and-forth"}:
            assert (
                ours["added"],
                ours["deleted"],
            ) != expected  # a shell command wrote the file; two edits that cancel out both count
        else:
            assert (ours["added"], ours["deleted"]) == expected, case["case"]
