"""A believable stretch of work in a store: several agents on several projects, with everything that the page shows.

It is made of facts, as readers of hooks and transcripts make them, and it is the same each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from claude_hooks_otel.daemon.assembly import assemble_core
from claude_hooks_otel.facts import model
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.settings import Config
from claude_hooks_otel.units import DOLLAR, SECOND

# A Friday evening.
NOW: Final = datetime(2026, 11, 27, 18, 30, tzinfo=UTC)
TEAMS: Final = {"backend": "core", "frontend": "core", "reviewer": "quality", "platform": "infra", "docs": "quality"}
WORK: Final = (
    ("backend", "book-cataloger", "claude-opus-4-5", 9),
    ("backend", "storefront", "claude-sonnet-4-5", 4),
    ("frontend", "storefront", "claude-sonnet-4-5", 7),
    ("reviewer", "book-cataloger", "claude-haiku-4-5", 5),
    ("platform", "deploy-tools", "claude-opus-4-5", 3),
    ("docs", "handbook", "claude-haiku-4-5", 2),
)
# US dollars per million tokens: input, read from the cache, written to it, output.
PRICES: Final = {
    "claude-opus-4-5": (5.0, 0.5, 10.0, 25.0),
    "claude-sonnet-4-5": (3.0, 0.3, 6.0, 15.0),
    "claude-haiku-4-5": (1.0, 0.1, 2.0, 5.0),
}
TOOLS: Final = (
    ("Read", 8),
    ("Bash", 7),
    ("Edit", 6),
    ("Grep", 5),
    ("Write", 2),
    ("Glob", 2),
    ("WebFetch", 1),
    ("mcp__issues__search", 1),
)
PROMPTS: Final = (
    "Add rate limiting to the public API", "Why does the import of large catalogs run out of memory?", "Review the open pull request",
    "Write tests for the checkout", "Move the deployment to the new cluster", "Fix the flaky test of the search page",
    "Explain how sessions are stored", "Make the product page readable on phones",
)  # fmt: skip


def milliseconds(value: float) -> int:
    """Return milliseconds as nanoseconds."""
    return round(value * 1_000_000)


@dataclass
class Week:
    """The sessions of a stretch of days. ``now_ns`` is the clock: changes of files have no time of their own."""

    rng: random.Random
    keeps_words: bool
    now_ns: int = 0

    def sessions(self, days: int) -> Iterator[list[model.Fact]]:
        """Yield the facts of each session."""
        number = 0
        for back in range(days, -1, -1):
            day = (NOW - timedelta(days=back)).replace(hour=0, minute=0)
            share = 0.15 if day.weekday() >= 5 else 1.0
            for agent, project, name, weight in WORK:
                for _ in range(round(weight * share * self.rng.uniform(0.2, 0.75))):
                    begin = day + timedelta(minutes=self.rng.uniform(8 * 60, 17.5 * 60))
                    if begin < NOW - timedelta(hours=2):
                        number += 1
                        self.now_ns = round((begin + timedelta(minutes=20)).timestamp()) * SECOND
                        yield list(self.session(number, begin, agent, project, name))

    def session(self, number: int, begin: datetime, agent: str, project: str, name: str) -> Iterator[model.Fact]:
        """Yield the facts of one session."""
        rng = self.rng
        session_id = f"{rng.getrandbits(32):08x}-{number:04x}-4000-8000-{rng.getrandbits(48):012x}"
        who = {"agent": agent, "project": project, "team": TEAMS[agent]}
        at = start = round(begin.timestamp()) * SECOND
        words = rng.choice(PROMPTS)
        context = rng.randrange(14_000, 40_000)
        for turn in range(rng.choice((1, 2, 3, 3, 5, 8))):
            at += milliseconds(rng.uniform(2_000, 90_000))
            prompt_id = f"{session_id}-{turn}"
            turn_start = at
            waited = 0
            if not turn and self.keeps_words:
                texts = json.dumps({"prompt": {"length": len(words), "sha256": "0" * 64, "text": words}})
                yield model.Content(owner_id=prompt_id, source="hook", at_ns=at, texts=texts)
            for step in range(rng.choice((1, 2, 4, 6, 9))):
                at += milliseconds(rng.lognormvariate(8.4, 0.5))
                context += rng.randrange(200, 3_000)
                yield self.request(f"{prompt_id}-{step}", session_id, prompt_id, at, name, context, who)
                call = f"toolu_{number:05d}{turn:02d}{step:02d}"
                tool = rng.choices([each for each, _ in TOOLS], [weight for _, weight in TOOLS])[0]
                if tool == "Bash" and rng.random() < 0.35:
                    waited_ns = milliseconds(rng.lognormvariate(8.6, 0.9))
                    decision = "rejected" if rng.random() < 0.1 else "allowed"
                    yield model.PermissionWait(
                        session_id=session_id,
                        asked_ns=at,
                        tool=tool,
                        tool_use_id=call,
                        decision=decision,
                        waited_ns=waited_ns,
                        **who,
                    )
                    at += waited_ns
                    waited += waited_ns
                took = milliseconds(rng.lognormvariate({"Bash": 7.6, "WebFetch": 7.9}.get(tool, 4.2), 0.9))
                outcome = "error" if rng.random() < 0.06 else "success"
                yield model.ToolCall(
                    tool_use_id=call, session_id=session_id, prompt_id=prompt_id, agent_type="main", tool=tool, outcome=outcome,
                    started_ns=at, ended_ns=at + took, duration_ns=took, **who,
                )  # fmt: skip
                at += took
                yield from self._effects(call, tool, session_id, at, who)
            if rng.random() < 0.25:
                at = yield from self._subagent(number, turn, session_id, prompt_id, at, who)
            at += milliseconds(rng.lognormvariate(8.2, 0.4))
            yield self.request(f"{prompt_id}-end", session_id, prompt_id, at, name, context, who)
            yield model.Turn(
                prompt_id=prompt_id, session_id=session_id, prompts_in_transcript=1, started_ns=turn_start, ended_ns=at,
                active_ns=at - turn_start - waited, branch=f"feature/{project}-{number % 7}", repository=project,
                failure="interrupted" if rng.random() < 0.03 else None, **who,
            )  # fmt: skip
        yield from self._deliveries(number, session_id, start, at, who)
        reason = "killed" if rng.random() < 0.05 else "prompt_input_exit"
        yield model.SessionRun(
            session_id=session_id, started_ns=start, source="startup", ended_ns=at + SECOND, end_reason=reason, **who
        )
        yield model.Session(
            session_id=session_id, first_seen_ns=start, last_seen_ns=at + SECOND, client_version="2.1.330", entrypoint="cli",
            model=name, context_tokens=context, **who,
        )  # fmt: skip

    def request(
        self,
        key: str,
        session_id: str,
        prompt_id: str,
        at: int,
        name: str,
        context: int,
        who: dict[str, str],
        agent_id: str | None = None,
    ) -> model.ApiRequest:
        """Return a request that reads its context from the cache."""
        rng = self.rng
        written, output, fresh = rng.randrange(300, 6_000), round(rng.lognormvariate(5.6, 0.9)), rng.randrange(3, 40)
        read = max(0, context - written)
        tokens = (fresh, read, written, output)
        cost = sum(round(count * price * DOLLAR / 1e6) for count, price in zip(tokens, PRICES[name], strict=True))
        return model.ApiRequest(
            message_id=f"msg_{key}", answer_id=f"req_{key}", request_id=f"req_{key}", session_id=session_id, prompt_id=prompt_id,
            agent_id=agent_id, agent_type="Explore" if agent_id else "main", model=name, answering_model=name, at_ns=at,
            input_tokens=fresh, cache_read_tokens=read, cache_write_5m_tokens=0, cache_write_1h_tokens=written, output_tokens=output,
            cost=cost, stop_reason="tool_use", **who,
        )  # fmt: skip

    def _effects(self, call: str, tool: str, session_id: str, at: int, who: dict[str, str]) -> Iterator[model.Fact]:
        rng = self.rng
        if tool in ("Edit", "Write"):
            yield model.FileChange(
                tool_use_id=call, path_digest=call, file_type=rng.choice(("py", "ts", "md")), added=rng.randrange(1, 60),
                deleted=rng.randrange(0, 20), **who,
            )  # fmt: skip
        if tool == "Bash" and rng.random() < 0.3:
            failed = rng.choice((0, 0, 0, 0, 1, 3))
            yield model.SuiteRun(
                tool_use_id=call, ordinal=0, framework="pytest" if who["agent"] != "frontend" else "vitest",
                outcome="failed" if failed else "passed", passed=rng.randrange(20, 160), failed=failed, skipped=rng.choice((0, 0, 2)),
                errors=0, coverage_basis_points=rng.randrange(7_400, 9_300), session_id=session_id, at_ns=at, **who,
            )  # fmt: skip
        elif tool == "Bash" and rng.random() < 0.25:
            yield model.GitCommit(
                repository=who["project"], sha=f"{rng.getrandbits(160):040x}", action="commit", is_new=1, tool_use_id=call,
                session_id=session_id, at_ns=at, **who,
            )  # fmt: skip

    def _subagent(
        self, number: int, turn: int, session_id: str, prompt_id: str, at: int, who: dict[str, str]
    ) -> Iterator[model.Fact]:
        """Yield the facts of a sub-agent, and return when it ended."""
        rng = self.rng
        agent_id, call = f"a{number:05d}{turn:02d}", f"toolu_agent{number:05d}{turn:02d}"
        begin = at
        yield model.Subagent(
            agent_id=agent_id, session_id=session_id, agent_type="Explore", tool_use_id=call, in_transcript=1, **who
        )
        for step in range(rng.choice((2, 3, 4))):
            at += milliseconds(rng.lognormvariate(7.9, 0.4))
            key = f"{prompt_id}-{agent_id}-{step}"
            yield self.request(key, session_id, prompt_id, at, "claude-haiku-4-5", 9_000 + 3_000 * step, who, agent_id)
            took = milliseconds(rng.lognormvariate(4.4, 0.8))
            yield model.ToolCall(
                tool_use_id=f"{call}{step}", session_id=session_id, prompt_id=prompt_id, agent_id=agent_id, agent_type="Explore",
                tool=rng.choice(("Grep", "Read")), outcome="success", started_ns=at, ended_ns=at + took, duration_ns=took, **who,
            )  # fmt: skip
            at += took
        yield model.SubagentTurn(
            agent_id=agent_id,
            ended_ns=at,
            session_id=session_id,
            agent_type="Explore",
            outcome="completed",
            started_ns=begin + SECOND // 5,
            **who,
        )
        yield model.ToolCall(
            tool_use_id=call, session_id=session_id, prompt_id=prompt_id, agent_type="main", tool="Agent", outcome="success",
            started_ns=begin, ended_ns=at, duration_ns=at - begin, **who,
        )  # fmt: skip
        return at

    def _deliveries(
        self, number: int, session_id: str, start: int, at: int, who: dict[str, str]
    ) -> Iterator[model.Fact]:
        rng = self.rng
        for task in range(rng.choice((0, 0, 1, 2))):
            kind = rng.choice(("feature", "feature", "bug", "task"))
            yield model.Task(
                session_id=session_id, task_id=str(task), task_type=kind, story_points=rng.choice((1, 2, 3, 5)), created_ns=start,
                started_ns=start, completed_ns=at, duration_ns=at - start, owner=rng.choice((None, who["agent"])), **who,
            )  # fmt: skip
        if rng.random() < 0.22:
            address = f"pr{number}"
            yield model.PullRequest(address_digest=address, action="created", session_id=session_id, at_ns=start, **who)
            if rng.random() < 0.7:
                yield model.PullRequest(address_digest=address, action="merged", session_id=session_id, at_ns=at, **who)
                yield model.PullRequestReview(
                    address_digest=address, opened_ns=start, merged_ns=at, duration_ns=at - start, **who
                )
        if rng.random() < 0.06:
            yield model.Regression(session_id=session_id, framework="pytest", bugs=1, at_ns=at, **who)


def make(home: Home, *, days: int = 13, seed: int = 7, keeps_words: bool = False) -> None:
    """Fill a home with the work of the days before NOW.

    Args:
        home: the home. It is created if it does not exist.
        days: how many days.
        seed: another seed is other work.
        keeps_words: whether the first prompt of each session is kept, as with ``[capture] prompts``.
    """
    home.create()
    week = Week(random.Random(seed), keeps_words)
    core = assemble_core(home, Config(), lambda: week.now_ns)
    try:
        for facts in week.sessions(days):
            with core.store.transaction():
                core.facts.upsert(*facts)
    finally:
        core.store.close()
