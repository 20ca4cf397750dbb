"""Every metric of the product, declared once. Projection, export, the reference page, dashboards and tests read this list.

The Prometheus names are a contract with the dashboards and alerts of users. ``claude_hooks_otel.metrics.reference`` makes
``docs/metrics.md`` from this list.
"""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.metrics.definition import SCORES, SHARES, Kind, Metric
from claude_hooks_otel.units import DOLLAR, SECOND

# Upper bounds in seconds. Tool calls take from milliseconds (a file read) to minutes (a long build).
_TOOL_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Upper bounds in seconds. Turns, sub-agents and tasks take from seconds (an answer) to a day.
_WORK_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
# Upper bounds in seconds. Reviews take from minutes to a month.
_REVIEW_SECONDS = (300.0, 900.0, 3600.0, 14400.0, 28800.0, 86400.0, 172800.0, 345600.0, 604800.0, 1209600.0, 2592000.0)

SESSIONS: Final = Metric(
    "claude.sessions", "{session}", Kind.COUNTER,
    "Sessions that began. `source` says how: `startup`, `resume`, `fork`, or `clear` (a new conversation in a running client). If "
    "no hook saw a session begin, it counts as `startup` once it is over.",
    labels=("source",),
)  # fmt: skip
SESSION_DURATION: Final = Metric(
    "claude.session.duration", "s", Kind.HISTOGRAM,
    "Time from the beginning or resumption of a session to its end. A session that was killed reports no end: it ends with its "
    "last event.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
SESSIONS_ACTIVE: Final = Metric(
    "claude.sessions.active", "{session}", Kind.GAUGE,
    "Sessions that have begun, have not ended, and were active within the last 30 minutes.",
)  # fmt: skip
PROMPTS: Final = Metric(
    "claude.prompts", "{prompt}", Kind.COUNTER,
    "Prompts that a person typed or a program passed in. Reports of background tasks do not count.",
)  # fmt: skip
TURN_DURATION: Final = Metric(
    "claude.turn.duration", "s", Kind.HISTOGRAM,
    "Time from a prompt to the end of the answer (the first Stop event of that prompt), including the waits for permission.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
TURN_FAILURES: Final = Metric(
    "claude.turn.failures", "{turn}", Kind.COUNTER,
    "Turns of the main conversation that ended without an answer. `error` is the client's name of an API error, or `interrupted` "
    "(a person stopped the turn), `ended` (the client exited before the answer: a limit of turns or dollars, a closed terminal, a "
    "hook that stopped it) or `killed` (the client disappeared without a SessionEnd event).",
    labels=("error",),
)  # fmt: skip
ACTIVE_TIME: Final = Metric(
    "claude.active_time", "s", Kind.COUNTER,
    "Seconds that sessions worked on prompts: the length of each turn minus its waits for permission. A turn of 60 s in which a "
    "person took 20 s to allow a command counts as 40.",
    scale=SECOND,
)  # fmt: skip
LINES_ADDED: Final = Metric(
    "claude.lines.added", "{line}", Kind.COUNTER,
    "Lines that Claude's own edits added. Each edit is counted as `git diff --numstat` counts it. Changes made by shell commands "
    "are not included.",
    labels=("file_type",),
)  # fmt: skip
LINES_DELETED: Final = Metric(
    "claude.lines.deleted", "{line}", Kind.COUNTER,
    "Lines that Claude's own edits deleted. Each edit is counted as `git diff --numstat` counts it. Changes made by shell "
    "commands are not included.",
    labels=("file_type",),
)  # fmt: skip
FILES_MODIFIED: Final = Metric(
    "claude.files.modified", "{file}", Kind.COUNTER,
    "Distinct files that a session wrote or edited. A file that is edited ten times in a session counts once.",
)  # fmt: skip
FILES_READ: Final = Metric(
    "claude.files.read", "{file}", Kind.COUNTER,
    "Distinct files that a session read. A file that is read ten times in a session counts once.",
)  # fmt: skip
TOKENS_INPUT: Final = Metric(
    "claude.tokens.input", "{token}", Kind.COUNTER,
    "Tokens sent to the model. The sum over `cache` is all input. `cache` is `none` (not cached), `read` (read from the prompt "
    "cache), `write_5m` or `write_1h` (written to the cache for 5 minutes or 1 hour). `agent_type` is `main`, the type of a "
    "sub-agent, or `auxiliary` (the client's own requests: titles, compaction, web search).",
    labels=("model", "agent_type", "cache"),
)  # fmt: skip
TOKENS_OUTPUT: Final = Metric(
    "claude.tokens.output", "{token}", Kind.COUNTER,
    "Tokens of the model's answers, including thinking.",
    labels=("model", "agent_type"),
)  # fmt: skip
COST: Final = Metric(
    "claude.api.cost.usd", "{USD}", Kind.COUNTER,
    "Cost of the requests at list prices, in US dollars, computed as the client itself computes it. A subscription is not charged "
    "this amount: read it as the equivalent cost through the API.",
    labels=("model", "agent_type"), scale=DOLLAR,
)  # fmt: skip
API_REQUESTS: Final = Metric(
    "claude.api.requests", "{request}", Kind.COUNTER,
    "Requests to the Messages API, as the transcript shows them. `outcome` is `success` (answered) or `error` (not answered, "
    "after all of the client's retries).",
    labels=("model", "agent_type", "outcome"),
)  # fmt: skip
UNPRICED_TOKENS: Final = Metric(
    "claude.api.unpriced.tokens", "{token}", Kind.COUNTER,
    "Tokens of models without a known price. No cost figure includes them. Add the model under `[prices]` in the configuration.",
    labels=("model",),
)  # fmt: skip
TOOL_CALLS: Final = Metric(
    "claude.tool.calls", "{call}", Kind.COUNTER,
    "Finished tool calls. `outcome` is `success`, `error` (it ran and failed), `rejected` (a person said no), `denied` (a rule, a "
    "hook or auto mode said no), `interrupted` (stopped while it ran) or `invalid` (it never ran: unknown tool or invalid input).",
    labels=("tool", "outcome"),
)  # fmt: skip
TOOL_DURATION: Final = Metric(
    "claude.tool.duration", "s", Kind.HISTOGRAM,
    "How long tool calls ran, by the client's own clock. Waits for permission and the time of hooks are not included. With light "
    "registration, a call lasts from the model's request to the result, with every wait in between.",
    labels=("tool",), scale=SECOND, buckets=_TOOL_SECONDS,
)  # fmt: skip
SUBAGENTS: Final = Metric(
    "claude.subagents", "{turn}", Kind.COUNTER,
    "Finished turns of sub-agents. A sub-agent has one turn when it starts, and one more each time it is woken again. `outcome` "
    "is `completed`, `failed` or `killed`.",
    labels=("agent_type", "outcome"),
)  # fmt: skip
SUBAGENT_DURATION: Final = Metric(
    "claude.subagent.duration", "s", Kind.HISTOGRAM,
    "Time from the start of a sub-agent's turn to its end.",
    labels=("agent_type",), scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
TASKS_CREATED: Final = Metric(
    "claude.tasks.created", "{task}", Kind.COUNTER,
    "Tasks that were added to a session's task list, or that a program began through the SDK.",
    labels=("task_type",),
)  # fmt: skip
TASKS_COMPLETED: Final = Metric(
    "claude.tasks.completed", "{task}", Kind.COUNTER,
    "Completed tasks. A task that is reopened and completed again counts once.",
    labels=("task_type",),
)  # fmt: skip
TASK_DURATION: Final = Metric(
    "claude.task.duration", "s", Kind.HISTOGRAM,
    "Time from the start of work on a task (status `in_progress`, otherwise its creation) to its completion.",
    labels=("task_type",), scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
STORY_POINTS: Final = Metric(
    "claude.story_points.delivered", "{point}", Kind.COUNTER,
    "Story points of completed tasks. They come from the task's metadata (`story_points`, `points`, `complexity`), otherwise from "
    "a prefix of its subject (`[5] …`, `feat(5): …`), otherwise from `CLAUDE_AGENT_TASK_COMPLEXITY`. A task without any of these "
    "counts 1.",
)  # fmt: skip
FEATURES: Final = Metric(
    "claude.features.delivered", "{feature}", Kind.COUNTER,
    "Completed tasks of type `feature`.",
)  # fmt: skip
BUGS: Final = Metric(
    "claude.bugs.introduced", "{bug}", Kind.COUNTER,
    "Bugs that agents introduced: tests that fail in a session's last run of a suite beyond those that failed in its first run, "
    "and tasks whose metadata blame the agent (`introduced_by`). A session whose first run has 1 failure and whose last run has 3 "
    "counts as 2.",
)  # fmt: skip
PATTERNS_EXTRACTED: Final = Metric(
    "claude.patterns.extracted", "{pattern}", Kind.COUNTER,
    "Reusable guidance that sessions wrote: new files that agents load later (skills, commands, sub-agents and rules below "
    "`.claude/`, `CLAUDE.md`, `AGENTS.md`, Markdown files below `patterns/`).",
)  # fmt: skip
COMPACTIONS: Final = Metric(
    "claude.compactions", "{compaction}", Kind.COUNTER,
    "Compactions of a conversation. `trigger` says who asked for one: `manual` (the user) or `auto` (the client).",
    labels=("trigger",),
)  # fmt: skip
CONTEXT_USAGE: Final = Metric(
    "claude.context.usage", "%", Kind.GAUGE,
    "How full the context window was at the last answer of an active session. If an agent has several active sessions in a "
    "project, the fullest one counts. The size of the window comes from the client's status line, or otherwise from the model's name.",
)  # fmt: skip
RATE_LIMIT_USED: Final = Metric(
    "claude.rate_limit.used", "%", Kind.GAUGE,
    "How much of a limit of the Claude subscription is used, as the client's status line last said. `window` is the client's name of the "
    "limit, such as `five_hour` or `seven_day`. A limit belongs to the account, so all agents of one account have the same value: combine "
    "them with `max`, not with `sum`. Sessions of the last day have it, until the limit begins again. It needs "
    "`claude-hooks-otel install --statusline` and a subscription.",
    labels=("window",), scale=100,
)  # fmt: skip
RATE_LIMIT_RESET: Final = Metric(
    "claude.rate_limit.reset.timestamp", "s", Kind.GAUGE,
    "When a limit of the Claude subscription begins again, in seconds since 1970. The labels are those of `claude_rate_limit_used_percent`.",
    labels=("window",), scale=SECOND,
)  # fmt: skip
MODEL_SWITCHES: Final = Metric(
    "claude.model.switches", "{switch}", Kind.COUNTER,
    "Times that a running session changed to another model.",
)  # fmt: skip
PATTERN_LOADS: Final = Metric(
    "claude.pattern.loads", "{load}", Kind.COUNTER,
    "Skills that were used and instruction files that were loaded, by name: the guidance that agents follow.",
    labels=("pattern",),
)  # fmt: skip
PERMISSION_REQUESTS: Final = Metric(
    "claude.permission.requests", "{request}", Kind.COUNTER,
    "Times that a session asked whether it may use a tool. `decision` is `allowed`, `rejected` (by a person), `denied` (by a "
    "rule, or because there was nobody to ask) or `unanswered` (the client exited first). With light registration, only `rejected` "
    "is known.",
    labels=("tool", "decision"),
)  # fmt: skip
PERMISSION_WAIT: Final = Metric(
    "claude.permission.wait", "s", Kind.HISTOGRAM,
    "Time from a permission request to its answer. With light registration, only of requests that a person rejected.",
    scale=SECOND, buckets=_WORK_SECONDS,
)  # fmt: skip
COMMITS: Final = Metric(
    "claude.commits", "{commit}", Kind.COUNTER,
    "Commits that sessions made, as git recorded them while a command ran, or otherwise as the client reports them. "
    "A commit that is amended or rebased does not count again. Dry runs do not count, nor do commits that a person makes while a "
    "session runs.",
)  # fmt: skip
BRANCHES: Final = Metric(
    "claude.branches", "{branch}", Kind.COUNTER,
    "Branches that sessions created. A name counts once in a project.",
)  # fmt: skip
PULL_REQUESTS: Final = Metric(
    "claude.pull.requests", "{request}", Kind.COUNTER,
    "Actions of sessions on pull (merge) requests: `created`, `merged`, `closed`, …. Each action counts once for each request.",
    labels=("action",),
)  # fmt: skip
REVIEW_DURATION: Final = Metric(
    "claude.pr.review.duration", "s", Kind.HISTOGRAM,
    "Time from the opening of a pull request to its merge, across sessions, for the agent that opened it. The times come from the "
    "calls that opened and merged it, or from its host (`gh pr view --json url,createdAt,mergedAt`). The address of the request "
    "links the two.",
    scale=SECOND, buckets=_REVIEW_SECONDS,
)  # fmt: skip
TEST_RUNS: Final = Metric(
    "claude.test.runs", "{run}", Kind.COUNTER,
    "Runs of a test suite in Bash calls. `outcome` is `failed` if a test failed, `error` if no test failed but something could "
    "not run, and `passed` otherwise. `framework` is `bats`, `bun`, `cargo`, `ctest`, `dotnet`, `go`, `gradle`, `jest`, `maven`, "
    "`mix`, `mocha`, `node`, `phpunit`, `playwright`, `prove`, `pytest`, `rspec`, `tap`, `unittest` or `vitest`.",
    labels=("framework", "outcome"),
)  # fmt: skip
TESTS: Final = Metric(
    "claude.tests", "{test}", Kind.COUNTER,
    "Tests in runs of test suites, if the output counts them. `outcome` is `passed`, `failed`, `skipped` or `error`.",
    labels=("framework", "outcome"),
)  # fmt: skip
TEST_COVERAGE: Final = Metric(
    "claude.test.coverage", "%", Kind.GAUGE,
    "Share of lines (statements) that tests cover, as the latest test run of the agent in the project reported it.",
    scale=100,
)  # fmt: skip
CLIENT_INFO: Final = Metric(
    "claude.client.info", "{client}", Kind.GAUGE,
    "1 for each version, entrypoint and terminal of the client in use. Join it with other metrics to see who still uses which version. "
    "`terminal_type` is the terminal's TERM_PROGRAM.",
    labels=("version", "entrypoint", "terminal_type"),
)  # fmt: skip
AGENT_XP: Final = Metric(
    "claude.agent.xp", "{xp}", Kind.GAUGE,
    "Experience: the weighted sum of all that the agent has ever delivered, at least 0. The weights (`[scores.xp]`) are 10 per "
    "story point, 20 per feature, 2 per commit, 15 per merged pull request, and minus 15 per bug introduced. Example: 12 points "
    "in 2 features with 9 commits and 1 bug are 120 + 40 + 18 - 15 = 163.",
    scale=SCORES,
)  # fmt: skip
AGENT_LEVEL: Final = Metric(
    "claude.agent.level", "{level}", Kind.GAUGE,
    "Level: 1 plus the square root of XP / 100 (`[scores] xp_per_level`), rounded down. Each level takes more XP than the one "
    "before. Example: 163 XP are level 2, 400 are level 3, 2,500 are level 6.",
)  # fmt: skip
EFFICIENCY: Final = Metric(
    "claude.agent.efficiency.score", "{score}", Kind.GAUGE,
    "Story points delivered per new token in the last 30 days (`[scores] window_days`). New tokens are all output, and the input "
    "that was not read from the cache: reading the same context again says nothing about the work. Example: 12 points for 400,000 "
    "new tokens are 0.00003. An agent that used no tokens has no score. One that delivered nothing has 0.",
    scale=SCORES,
)  # fmt: skip
QUALITY: Final = Metric(
    "claude.agent.quality.score", "{score}", Kind.GAUGE,
    "How well the agent's work passes checks in the last 30 days (`[scores] window_days`), from 0 to 1. It is the lower end of "
    "Wilson's 95 % interval for the share of good checks, so a few checks cannot give a high score. The checks, weighted by "
    "`[scores.quality]`, are the last run of each suite in each session (good if it passed), each pull request that was merged or "
    "closed (good if merged) and each bug introduced (bad). Example: 9 good checks of 10 are 0.60, 90 of 100 are 0.83, 1 of 1 is "
    "0.21. An agent without checks has no score.",
    scale=SCORES,
)  # fmt: skip
COLLABORATION: Final = Metric(
    "claude.agent.collaboration.score", "{score}", Kind.GAUGE,
    "How well the agent's hand-overs end in the last 30 days (`[scores] window_days`), from 0 to 1, computed like the quality "
    "score. The hand-overs, weighted by `[scores.collaboration]`, are turns of sub-agents (good if completed), tasks given to an "
    "owner (good if completed) and pull requests that were merged or closed (good if merged). Example: 18 good ones of 20 are "
    "0.70.",
    scale=SCORES,
)  # fmt: skip

BUDGET_USED: Final = Metric(
    "claude.budget.used.ratio", "1", Kind.GAUGE,
    "Used share of each budget in its present period (`[budgets]`): 1 is the whole limit. `scope` is `all`, `agent`, `project` or `team`, "
    "`name` is the agent, project or team (`all` for everything), `period` is `day`, `week` or `month`.",
    labels=("scope", "name", "period"), scale=SHARES, common=False,
)  # fmt: skip
BUDGET_FORECAST: Final = Metric(
    "claude.budget.forecast.ratio", "1", Kind.GAUGE,
    "Share of each budget that will be used when its period ends, if it goes on like the last 7 days: what is used, plus the mean cost "
    "per time of the last 7 days, times the time that is left. 1 is the whole limit. The labels are those of `claude_budget_used_ratio`.",
    labels=("scope", "name", "period"), scale=SHARES, common=False,
)  # fmt: skip

HOOK_EVENTS: Final = Metric(
    "claude.hooks.events", "{event}", Kind.COUNTER,
    "Hook events and program records (`sdk.…`) that were taken in. A copy of an event does not count.",
    labels=("event",), common=False,
)  # fmt: skip
HOOK_EVENTS_DROPPED: Final = Metric(
    "claude.hooks.events.dropped", "{event}", Kind.COUNTER,
    "Hook events and program records that could not be used. `reason` is `spool_full` (there was no room to write), `spool_budget` "
    "(too many waited, or for too long: see `[spool]`), `unreadable` "
    "(the payload is incomplete or invalid), `error` (taking it in failed) or `total_full` (a number did not fit into a total), and for program records `kind_conflict` (the metric "
    "has another kind), `too_many_metrics`, `too_many_series` or `reserved_name`. The transcript replaces most of what a lost "
    "hook event reported.",
    labels=("reason",), common=False,
)  # fmt: skip
TRANSCRIPT_DAMAGE: Final = Metric(
    "claude.hooks.transcript.damage", "{fault}", Kind.COUNTER,
    "Faults in lines of transcripts. With the reasons `cut` (a part of a line is not a complete record), `too_long` (the line needs more "
    "than 12 MiB), `fields` (a required field is missing) and `error` (a fault in this program), a record is lost. With `field` (an "
    "optional field has an unexpected type or range), `nul` (NUL bytes) and `encoding` (bytes that are not UTF-8), only that part is.",
    labels=("reason",), common=False,
)  # fmt: skip
TRANSCRIPT_ONLY: Final = Metric(
    "claude.hooks.transcript_only", "{fact}", Kind.COUNTER,
    "Things that only a transcript reported although a hook should have reported them too. `kind` is `tool_call`, `session` (its "
    "start) or `subagent`. It grows if hooks are killed, if some of them are switched off, or if they were registered while a "
    "session ran. The totals are complete even then. Tool calls of sessions with light registration do not count, because no hook is "
    "registered for them.",
    labels=("kind",), common=False,
)  # fmt: skip
PRICE_TABLE: Final = Metric(
    "claude.hooks.price_table.info", "{table}", Kind.GAUGE,
    "1, with the version of the price list in use (genai-prices) as a label.",
    labels=("version",), common=False,
)  # fmt: skip
SPOOL_DEPTH: Final = Metric(
    "claude.hooks.spool.depth", "{event}", Kind.GAUGE,
    "Events that wait in the spool.",
    common=False,
)  # fmt: skip
CONFIGURATION_ERROR: Final = Metric(
    "claude.hooks.configuration.error", "{file}", Kind.GAUGE,
    "1 while the configuration file cannot be used and the daemon works with the last good one, otherwise 0. "
    "`claude-hooks-otel doctor` says what is wrong with the file.",
    common=False,
)  # fmt: skip
EXPORT_FAILURES: Final = Metric(
    "claude.hooks.export.failures", "{export}", Kind.COUNTER,
    "Exports that an endpoint did not accept. The next export carries their content. `exporter` is `otlp` or `console` for metrics. "
    "Spans and log events have exporters of their own, such as `otlp-traces` and `otlp-logs`.",
    labels=("exporter",), common=False,
)  # fmt: skip
EXPORT_AGE: Final = Metric(
    "claude.hooks.export.age", "s", Kind.GAUGE,
    "Seconds since an endpoint last accepted an export.",
    labels=("exporter",), scale=SECOND, common=False,
)  # fmt: skip

RECORDS_WAITING: Final = Metric(
    "claude.hooks.records.waiting", "{record}", Kind.GAUGE,
    "Spans and log events that wait until an endpoint accepts them. `signal` is `traces` or `logs`.",
    labels=("signal",), common=False,
)  # fmt: skip
RECORDS_DROPPED: Final = Metric(
    "claude.hooks.records.dropped", "{record}", Kind.COUNTER,
    "Spans and log events that an endpoint will never get. `signal` is `traces` or `logs`. `reason` is `rejected` (the endpoint "
    "accepted their batch, but not them), `refused` (the endpoint refuses them even alone), `too_large` (they are too large even "
    "alone), `expired` or `outbox_full` (they exceeded the limits of `[outbox]`) or `unreadable` (they were damaged while they "
    "waited).",
    labels=("reason", "signal"), common=False,
)  # fmt: skip

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
CATALOG: Final[dict[str, Metric]] = {metric.name: metric for metric in METRICS}
