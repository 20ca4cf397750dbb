"""The client's own telemetry and ours, each reduced to the same totals."""

from __future__ import annotations

from collections import Counter

from claude_hooks_otel.metrics.labels import normalize
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.otlp_records import attributes, log_records, spans

# what is counted → "label|label" → how much
Totals = dict[str, dict[str, float]]
# calls or requests → id → how long a call took, or what a request cost
Records = dict[str, dict[str, float]]

# The client's token types. It has one class of cache writes, we have two.
_TYPES = {"input": "none", "cacheRead": "read", "cacheCreation": "write", "output": "output"}


def client_totals(receiver: OtlpReceiver) -> Totals:
    """Return the totals of the client's telemetry: of its metrics, and for requests and tool calls of its log events."""
    totals = _empty()
    for (name, labels), value in receiver.latest_totals().items():
        told = dict(labels)
        model, source = normalize(str(told.get("model", ""))), str(told.get("query_source"))
        match name:
            case "claude_code.session.count":
                totals["sessions"]["all"] += value
            case "claude_code.token.usage":
                totals["tokens"][f"{model}|{source}|{_TYPES[told['type']]}"] += value
            case "claude_code.cost.usage":
                totals["cost"][f"{model}|{source}"] += value
            case "claude_code.commit.count":
                totals["commits"]["all"] += value
            case "claude_code.lines_of_code.count":
                totals["lines"][told["type"]] += value
    for record in map(attributes, log_records(receiver)):
        if record.get("event.name") == "api_request" and _shown(str(record.get("query_source"))):
            totals["requests"][normalize(record["model"])] += 1
        elif record.get("event.name") == "tool_result":
            totals["tools"][f"{normalize(record['tool_name'])}|{str(record['success']).lower()}"] += 1
    return _plain(totals)


def our_totals(receiver: OtlpReceiver) -> Totals:
    """Return the totals of our series, under the client's names."""
    totals = _empty()
    for (name, labels), value in receiver.latest_totals().items():
        told = dict(labels)
        model, source = told.get("model", ""), _source(told.get("agent_type", ""))
        match name:
            case "claude.sessions":
                totals["sessions"]["all"] += value
            case "claude.tokens.input":
                totals["tokens"][f"{model}|{source}|{told['cache'].partition('_')[0]}"] += value
                totals["classes"][told["cache"]] += value
            case "claude.tokens.output":
                totals["tokens"][f"{model}|{source}|output"] += value
            case "claude.api.cost.usd":
                totals["cost"][f"{model}|{source}"] += value
            case "claude.api.requests":
                totals["requests"][model] += value
            case "claude.git.commits" | "claude.commits":
                totals["commits"]["all"] += value
            case "claude.lines.added" | "claude.lines.deleted":
                totals["lines"]["added" if name.endswith("added") else "removed"] += value
            case "claude.tool.calls":
                # The client reports no call that never ran or never ended.
                if told["outcome"] in ("success", "error"):
                    totals["tools"][f"{told['tool']}|{str(told['outcome'] == 'success').lower()}"] += value
                totals["outcomes"][told["outcome"]] += value
            case "claude.hooks.events":
                totals["events"][told["event"]] += value
            case "claude.hooks.transcript_only":
                totals["transcript_only"][told["kind"]] += value
            case "claude.compactions":
                totals["compactions"]["all"] += value
            case "claude.subagents":
                totals["subagents"][told["outcome"]] += value
    return _plain(totals)


def client_records(receiver: OtlpReceiver) -> Records:
    """Return each call of the client's log events with its milliseconds, and each request in a transcript with its cost."""
    told = list(map(attributes, log_records(receiver)))
    return {
        "calls": {
            record["tool_use_id"]: float(record["duration_ms"])
            for record in told
            if record.get("event.name") == "tool_result"
        },
        "requests": {
            record["request_id"]: float(record["output_tokens"])
            for record in told
            if record.get("event.name") == "api_request" and _shown(str(record.get("query_source")))
        },
    }


def our_spans(receiver: OtlpReceiver) -> Records:
    """Return the same from our spans."""
    found = [(attributes(span), span) for span in spans(receiver)]
    return {
        "calls": {
            str(told["gen_ai.tool.call.id"]): (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
            for told, span in found
            if told.get("gen_ai.operation.name") == "execute_tool"
        },
        "requests": {
            str(told["claude.request.id"]): float(told["gen_ai.usage.output_tokens"])
            for told, _ in found
            if told.get("gen_ai.operation.name") == "chat"
        },
    }


def _empty() -> dict[str, Counter[str]]:
    kinds = (
        "sessions",
        "tokens",
        "classes",
        "cost",
        "requests",
        "tools",
        "outcomes",
        "commits",
        "lines",
        "events",
        "compactions",
    )
    return {kind: Counter() for kind in (*kinds, "subagents", "transcript_only")}


def _plain(totals: dict[str, Counter[str]]) -> Totals:
    return {kind: {key: value for key, value in sorted(counts.items()) if value} for kind, counts in totals.items()}


def _source(agent_type: str) -> str:
    return agent_type if agent_type in ("main", "auxiliary") else "subagent"


def _shown(query_source: str) -> bool:
    """Return whether a transcript shows this request. Side requests are in none."""
    return query_source.startswith(("repl_main_thread", "sdk", "agent"))
