"""Every metric of the product, declared once: projection, export, the reference page, dashboards and tests read this list.

The Prometheus names are a contract: users' dashboards and alerts hold them. ``docs/metrics.md`` is made from here.
"""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.metrics.definition import SCORES, Kind, Metric
from claude_hooks_otel.units import DOLLAR, SECOND

# Seconds. Tool calls: from a file read to a long build.
_TOOL_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Seconds. Turns, sub-agents and tasks: from an answer to a day's work.
_WORK_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
# Seconds. Reviews: from some minutes to a month.
_REVIEW_SECONDS = (300.0, 900.0, 3600.0, 14400.0, 28800.0, 86400.0, 172800.0, 345600.0, 604800.0, 1209600.0, 2592000.0)

SESSIONS: Final = Metric(
    "claude.sessions", "{session}", Kind.COUNTER,
    "Sessions begun, by how: `startup`, `resume`, `fork`, or `clear` (a new conversation in a running client). A session whose "
    "start no hook saw counts as `startup` once it is over.",
    labels=("source",),
)  # fmt: skip
SESSION_DURATION: Final = Metric(
    "claude.session.duration", "s", Kind.HISTOGRAM,
    "From a session's begin (or resume) to its end. A session that ended without a word (killed) ends with its last event.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
SESSIONS_ACTIVE: Final = Metric(
    "claude.sessions.active", "{session}", Kind.GAUGE,
    "Sessions that have begun, have not ended, and showed life within the last 30 minutes.",
)  # fmt: skip
PROMPTS: Final = Metric(
    "claude.prompts", "{prompt}", Kind.COUNTER,
    "Prompts that a human typed or a program passed in. Reports of background tasks are not among them.",
)  # fmt: skip
TURN_DURATION: Final = Metric(
    "claude.turn.duration", "s", Kind.HISTOGRAM,
    "From a prompt to the end of the answer (the first Stop of that prompt), waiting for permissions included.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
TURN_FAILURES: Final = Metric(
    "claude.turn.failures", "{turn}", Kind.COUNTER,
    "Turns of the main conversation that ended without an answer. `error` is the client's name of an API error, or `interrupted` "
    "(a human stopped it), `ended` (the client left before the answer: a limit of turns or dollars, a closed terminal, a hook that "
    "stopped it), `killed` (the client was gone without a word).",
    labels=("error",),
)  # fmt: skip
ACTIVE_TIME: Final = Metric(
    "claude.active_time", "s", Kind.COUNTER,
    "Seconds in which sessions worked on prompts: the length of each turn, less the waits for a permission inside it. A turn of 60 s "
    "in which a human took 20 s to allow a command counts 40.",
    scale=SECOND,
)  # fmt: skip
LINES_ADDED: Final = Metric(
    "claude.lines.added", "{line}", Kind.COUNTER,
    "Lines that Claude's own edits added, as `git diff --numstat` counts each edit. Changes made by shell commands are not seen.",
    labels=("file_type",),
)  # fmt: skip
LINES_DELETED: Final = Metric(
    "claude.lines.deleted", "{line}", Kind.COUNTER,
    "Lines that Claude's own edits deleted, as `git diff --numstat` counts each edit.",
    labels=("file_type",),
)  # fmt: skip
FILES_MODIFIED: Final = Metric(
    "claude.files.modified", "{file}", Kind.COUNTER,
    "Different files that a session wrote or edited; a file edited ten times in a session counts once.",
)  # fmt: skip
FILES_READ: Final = Metric(
    "claude.files.read", "{file}", Kind.COUNTER,
    "Different files that a session read; a file read ten times in a session counts once.",
)  # fmt: skip
TOKENS_INPUT: Final = Metric(
    "claude.tokens.input", "{token}", Kind.COUNTER,
    "Tokens sent to the model; their sum over `cache` is all input. `cache` is `none` (not cached), `read` (from the prompt "
    "cache), `write_5m` or `write_1h` (written to it, by lifetime). `agent_type` is `main`, the sub-agent's type, or `auxiliary` "
    "(the client's own side requests: titles, compaction, web search).",
    labels=("model", "agent_type", "cache"),
)  # fmt: skip
TOKENS_OUTPUT: Final = Metric(
    "claude.tokens.output", "{token}", Kind.COUNTER,
    "Tokens the model answered with, thinking included.",
    labels=("model", "agent_type"),
)  # fmt: skip
COST: Final = Metric(
    "claude.api.cost.usd", "{USD}", Kind.COUNTER,
    "What the requests cost at list prices, in US dollars, as the client itself computes it. On a subscription nobody is "
    "charged this: read it as API-equivalent.",
    labels=("model", "agent_type"), scale=DOLLAR,
)  # fmt: skip
API_REQUESTS: Final = Metric(
    "claude.api.requests", "{request}", Kind.COUNTER,
    "Requests to the Messages API, as the transcript shows them. `outcome`: `success` (it answered), or `error` (it did not, after "
    "all the client's retries).",
    labels=("model", "agent_type", "outcome"),
)  # fmt: skip
UNPRICED_TOKENS: Final = Metric(
    "claude.api.unpriced.tokens", "{token}", Kind.COUNTER,
    "Tokens of models without a known price: they are in no cost figure. Add the model under `[prices]` in the configuration.",
    labels=("model",),
)  # fmt: skip
TOOL_CALLS: Final = Metric(
    "claude.tool.calls", "{call}", Kind.COUNTER,
    "Finished tool calls. `outcome`: `success`; `error` (ran and failed); `rejected` (a human said no); `denied` (a rule, a hook "
    "or auto mode said no); `interrupted` (stopped while it ran); `invalid` (never ran: unknown tool, bad input).",
    labels=("tool", "outcome"),
)  # fmt: skip
TOOL_DURATION: Final = Metric(
    "claude.tool.duration", "s", Kind.HISTOGRAM,
    "How long tool calls ran, by the client's own clock: without waiting for a permission and without hooks.",
    labels=("tool",), scale=SECOND, buckets=_TOOL_SECONDS,
)  # fmt: skip
SUBAGENTS: Final = Metric(
    "claude.subagents", "{turn}", Kind.COUNTER,
    "Finished turns of sub-agents: one per start, one more whenever an agent is woken again.",
    labels=("agent_type", "outcome"),
)  # fmt: skip
SUBAGENT_DURATION: Final = Metric(
    "claude.subagent.duration", "s", Kind.HISTOGRAM,
    "From the start of a sub-agent's turn to its end.",
    labels=("agent_type",), scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
TASKS_CREATED: Final = Metric(
    "claude.tasks.created", "{task}", Kind.COUNTER,
    "Entries that came into a session's task list.",
    labels=("task_type",),
)  # fmt: skip
TASKS_COMPLETED: Final = Metric(
    "claude.tasks.completed", "{task}", Kind.COUNTER,
    "Tasks completed; a task that is reopened and completed again counts once.",
    labels=("task_type",),
)  # fmt: skip
TASK_DURATION: Final = Metric(
    "claude.task.duration", "s", Kind.HISTOGRAM,
    "From the start of work on a task (in_progress, else its creation) to its completion.",
    labels=("task_type",), scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
STORY_POINTS: Final = Metric(
    "claude.story_points.delivered", "{point}", Kind.COUNTER,
    "Story points of completed tasks: from the task's metadata (`story_points`, `points`, `complexity`), else a prefix of its subject "
    "(`[5] …`, `feat(5): …`), else the environment's complexity, else 1.",
)  # fmt: skip
FEATURES: Final = Metric(
    "claude.features.delivered", "{feature}", Kind.COUNTER,
    "Completed tasks of type `feature`.",
)  # fmt: skip
BUGS: Final = Metric(
    "claude.bugs.introduced", "{bug}", Kind.COUNTER,
    "Tests that a session left failing beyond those that it found failing (its last run of a suite against its first), and tasks "
    "whose metadata blame the agent (`introduced_by`). A session whose first run shows 1 failure and whose last shows 3 counts 2.",
)  # fmt: skip
PATTERNS_EXTRACTED: Final = Metric(
    "claude.patterns.extracted", "{pattern}", Kind.COUNTER,
    "Reusable guidance that sessions wrote down: new files that agents load again (skills, commands, sub-agents and rules below "
    "`.claude/`, `CLAUDE.md`, `AGENTS.md`, Markdown below `patterns/`).",
)  # fmt: skip
COMPACTIONS: Final = Metric(
    "claude.compactions", "{compaction}", Kind.COUNTER,
    "Times a conversation was compacted, by who asked for it: `manual` or `auto`.",
    labels=("trigger",),
)  # fmt: skip
CONTEXT_USAGE: Final = Metric(
    "claude.context.usage", "%", Kind.GAUGE,
    "How full the context window was at the last answer of a session that is active: the fullest one of that agent and project.",
)  # fmt: skip
MODEL_SWITCHES: Final = Metric(
    "claude.model.switches", "{switch}", Kind.COUNTER,
    "Times another model was chosen in a running session.",
)  # fmt: skip
PATTERN_LOADS: Final = Metric(
    "claude.pattern.loads", "{load}", Kind.COUNTER,
    "Skills used and instruction files loaded, by name: what guides the agent.",
    labels=("pattern",),
)  # fmt: skip
PERMISSION_REQUESTS: Final = Metric(
    "claude.permission.requests", "{request}", Kind.COUNTER,
    "Times a session asked whether it may use a tool. `decision`: `allowed`, `rejected` (by a human), `denied` (by a rule, or "
    "because nobody could be asked).",
    labels=("tool", "decision"),
)  # fmt: skip
PERMISSION_WAIT: Final = Metric(
    "claude.permission.wait", "s", Kind.HISTOGRAM,
    "From such a question to its answer.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
COMMITS: Final = Metric(
    "claude.commits", "{commit}", Kind.COUNTER,
    "Commits that sessions made: as git itself recorded them while a command ran, else as the command's output shows them. An "
    "amended or rebased commit is no further one; dry runs, and a human's commits beside the session, are none.",
)  # fmt: skip
BRANCHES: Final = Metric(
    "claude.branches", "{branch}", Kind.COUNTER,
    "Branches that sessions created; one name in one project counts once.",
)  # fmt: skip
PULL_REQUESTS: Final = Metric(
    "claude.pull.requests", "{request}", Kind.COUNTER,
    "What sessions did to pull (merge) requests, each action on each request once: `created`, `merged`, `closed`, ….",
    labels=("action",),
)  # fmt: skip
REVIEW_DURATION: Final = Metric(
    "claude.pr.review.duration", "s", Kind.HISTOGRAM,
    "From the opening of a pull request to its merge, by its address, across sessions: as the calls that did both tell it, or as its "
    "host did (`gh pr view --json url,createdAt,mergedAt`). It counts for the agent that opened it.",
    scale=SECOND, buckets=_REVIEW_SECONDS,
)  # fmt: skip
TEST_RUNS: Final = Metric(
    "claude.test.runs", "{run}", Kind.COUNTER,
    "Runs of a test suite in a Bash call. `outcome`: `failed` with a failed test, `error` where something could not be run, else "
    "`passed`.",
    labels=("framework", "outcome"),
)  # fmt: skip
TESTS: Final = Metric(
    "claude.tests", "{test}", Kind.COUNTER,
    "Tests in those runs, as far as the output tells: `passed`, `failed`, `skipped`, `error`.",
    labels=("framework", "outcome"),
)  # fmt: skip
TEST_COVERAGE: Final = Metric(
    "claude.test.coverage", "%", Kind.GAUGE,
    "Lines (statements) covered, as the newest test run of that agent and project stated it.",
    scale=100,
)  # fmt: skip
CLIENT_INFO: Final = Metric(
    "claude.client.info", "{client}", Kind.GAUGE,
    "1 for each client version and entrypoint in use: join it to see who still runs what.",
    labels=("version", "entrypoint"),
)  # fmt: skip
AGENT_XP: Final = Metric(
    "claude.agent.xp", "{xp}", Kind.GAUGE,
    "Experience: what the agent has delivered since the beginning, weighted (`[scores.xp]`): 10 per story point, 20 per feature, 2 "
    "per commit, 15 per merged pull request, less 15 per bug introduced, never below 0. 12 points in 2 features with 9 commits and "
    "1 bug are 120 + 40 + 18 - 15 = 163.",
    scale=SCORES,
)  # fmt: skip
AGENT_LEVEL: Final = Metric(
    "claude.agent.level", "{level}", Kind.GAUGE,
    "1 + the square root of XP / 100 (`[scores] xp_per_level`), rounded down: each level takes more than the one before. 163 XP are "
    "level 2, 400 are level 3, 2,500 are level 6.",
)  # fmt: skip
EFFICIENCY: Final = Metric(
    "claude.agent.efficiency.score", "{score}", Kind.GAUGE,
    "Story points delivered per new token within the last 30 days (`[scores] window_days`). New tokens are input that was not read "
    "from the cache, and output: what re-reading costs says nothing of the work. 12 points for 400,000 new tokens are 0.00003. An "
    "agent that spent nothing has no score; one that delivered nothing has 0.",
    scale=SCORES,
)  # fmt: skip
QUALITY: Final = Metric(
    "claude.agent.quality.score", "{score}", Kind.GAUGE,
    "0 to 1: of the checks on an agent's work in the window, the share that ended well, as far as that many checks can vouch for it "
    "(lower end of Wilson's 95 % interval). Checks, weighted by `[scores.quality]`: the last run of each suite in each session (good: "
    "passed), each pull request that was merged or closed (good: merged), each bug introduced (bad). 9 good ones of 10 are 0.60, 90 "
    "of 100 are 0.83, 1 of 1 is 0.21; without any check there is no score.",
    scale=SCORES,
)  # fmt: skip
COLLABORATION: Final = Metric(
    "claude.agent.collaboration.score", "{score}", Kind.GAUGE,
    "0 to 1, reckoned like the quality score, of the hand-overs in the window, weighted by `[scores.collaboration]`: sub-agents' turns "
    "(good: completed), tasks given to an owner (good: completed), pull requests (good: merged). 18 of 20 that ended well are 0.70.",
    scale=SCORES,
)  # fmt: skip

HOOK_EVENTS: Final = Metric(
    "claude.hooks.events", "{event}", Kind.COUNTER,
    "Hook events and records of programs (`sdk.…`) taken in, copies not counted.",
    labels=("event",), common=False,
)  # fmt: skip
HOOK_EVENTS_DROPPED: Final = Metric(
    "claude.hooks.events.dropped", "{event}", Kind.COUNTER,
    "Events that arrived without usable content: `spool_full` (no room to write), `unreadable` (no complete payload). What they "
    "told is recovered from the transcript where it is in there.",
    labels=("reason",), common=False,
)  # fmt: skip
TRANSCRIPT_ONLY: Final = Metric(
    "claude.hooks.transcript_only", "{fact}", Kind.COUNTER,
    "What only a transcript told and a hook should have: `kind` is `tool_call`, `session` (its start) or `subagent`. It grows where "
    "hooks are killed, switched off in part, or were registered while a session ran; the totals are complete all the same.",
    labels=("kind",), common=False,
)  # fmt: skip
PRICE_TABLE: Final = Metric(
    "claude.hooks.price_table.info", "{table}", Kind.GAUGE,
    "1, with the version of the price list in use (genai-prices).",
    labels=("version",), common=False,
)  # fmt: skip
SPOOL_DEPTH: Final = Metric(
    "claude.hooks.spool.depth", "{event}", Kind.GAUGE,
    "Events that wait in the spool.",
    common=False,
)  # fmt: skip
EXPORT_FAILURES: Final = Metric(
    "claude.hooks.export.failures", "{export}", Kind.COUNTER,
    "Exports that an endpoint did not accept; their content is in the next one. `exporter` is `otlp` or `console`, for spans and log "
    "events `otlp-traces`, `otlp-logs` ….",
    labels=("exporter",), common=False,
)  # fmt: skip
EXPORT_AGE: Final = Metric(
    "claude.hooks.export.age", "s", Kind.GAUGE,
    "Seconds since an endpoint last accepted an export.",
    labels=("exporter",), scale=SECOND, common=False,
)  # fmt: skip

RECORDS_WAITING: Final = Metric(
    "claude.hooks.records.waiting", "{record}", Kind.GAUGE,
    "Spans and log events that wait for an endpoint to accept them, by `signal` (`traces`, `logs`).",
    labels=("signal",), common=False,
)  # fmt: skip
RECORDS_DROPPED: Final = Metric(
    "claude.hooks.records.dropped", "{record}", Kind.COUNTER,
    "Spans and log events that no endpoint has, by `signal` and `reason`: `rejected` (in a batch that was accepted), `refused` (bad by "
    "itself), `too_large` (by itself), `expired` and `outbox_full` (the bounds of `[outbox]`), `unreadable` (what waited is damaged).",
    labels=("reason", "signal"), common=False,
)  # fmt: skip

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
CATALOG: Final[dict[str, Metric]] = {metric.name: metric for metric in METRICS}
