"""Make the compact corpus in this folder from recorded sessions: `make.py SOURCE`.

SOURCE has one folder for each scenario, with `hooks.jsonl` (one hook event a line), `transcripts/` (the client's
`projects/` folder), `otlp.jsonl` (the client's own telemetry, OTLP/JSON bodies), `result.json` (the output of each run)
and optionally `git.json` and `lines.json`. README.md describes the corpus.

The output is a function of the input: gzip without time stamps, sorted keys, exact sums.
"""

from __future__ import annotations

import gzip
import json
import math
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HERE = Path(__file__).resolve().parent
HOOK_FIELDS = ("t", "argv", "cwd", "run", "env", "payload")
ENVIRONMENT_PREFIXES = ("CLAUDE", "AI_AGENT")
ENVIRONMENT_LEFT_OUT = {"CLAUDE_CODE_MESSAGING_TOKEN", "CLAUDE_CODE_MESSAGING_SOCKET"}  # recorded as "<removed>"
LABORATORY = (
    "/opt/lab/",
    "/opt/claude/",
)  # the folders of the recorder and the client; everything else was below /home/dev

# Metric (without its `claude_code.` prefix) → the attributes that distinguish its points. Points are summed over the others.
METRICS = {
    "active_time.total": ("type",),
    "code_edit_tool.decision": ("decision", "language", "source", "tool_name"),
    "commit.count": (),
    "cost.usage": ("agent.name", "model", "query_source"),
    "lines_of_code.count": ("model", "type"),
    "pull_request.count": (),
    "session.count": ("start_type",),
    "token.usage": ("agent.name", "model", "query_source", "type"),
}
# Log event → the attributes kept of each record.
EVENTS = {
    "api_error": (
        "agent.name",
        "agent_id",
        "attempt",
        "duration_ms",
        "error",
        "event.timestamp",
        "model",
        "query_source",
        "request_id",
        "status_code",
    ),
    "api_refusal": ("attempt", "category", "event.timestamp", "model", "query_source", "request_id"),
    "api_request": (
        "agent.name",
        "agent_id",
        "cache_creation_1h_tokens",
        "cache_creation_5m_tokens",
        "cache_creation_tokens",
        "cache_read_tokens",
        "cost_usd",
        "duration_ms",
        "event.timestamp",
        "input_tokens",
        "model",
        "output_tokens",
        "query_source",
        "request_id",
        "speed",
        "ttft_ms",
    ),
    "api_retries_exhausted": (
        "error",
        "event.timestamp",
        "model",
        "query_source",
        "status_code",
        "total_attempts",
        "total_retry_duration_ms",
    ),
    "compaction": (
        "duration_ms",
        "error",
        "event.timestamp",
        "post_tokens",
        "pre_tokens",
        "success",
        "trigger",
    ),
    "subagent_completed": (
        "agent_id",
        "agent_type",
        "duration_ms",
        "event.timestamp",
        "final_model",
        "is_async",
        "model",
        "parent_agent_id",
        "total_tokens",
        "total_tool_uses",
    ),
    "tool_result": ("agent_id", "duration_ms", "error_type", "event.timestamp", "success", "tool_name", "tool_use_id"),
}
RESULT_FIELDS = (
    "duration_api_ms",
    "duration_ms",
    "is_error",
    "modelUsage",
    "num_turns",
    "session_id",
    "subtype",
    "total_cost_usd",
    "usage",
)


def json_lines(path: Path) -> Iterator[Json]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def compact(value: object) -> str:
    """Return JSON as JavaScript's `JSON.stringify` writes it, without blanks and without needless escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_laboratory(text: str) -> str:
    for folder in LABORATORY:
        text = text.replace(folder, "/home/dev/bin/")
    return text


def write_gzip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The header of `gzip.compress` depends on the version of Python. `GzipFile` always writes the same one.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.write(without_laboratory(text).encode())


def hooks(source: Path) -> str:
    """Return the hook events as JSON lines, with the fields that a replay needs."""
    lines = []
    for recorded in json_lines(source / "hooks.jsonl"):
        kept = {field: recorded[field] for field in HOOK_FIELDS}
        kept["env"] = {
            name: value
            for name, value in sorted(recorded["env"].items())
            if name.startswith(ENVIRONMENT_PREFIXES) and name not in ENVIRONMENT_LEFT_OUT
        }
        lines.append(compact(kept) + "\n")
    return "".join(lines)


def copy_transcripts(source: Path, target: Path) -> None:
    """Copy the `projects/` folder. JSON lines and texts are compressed, the other files are small and stay as they are."""
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        copy = target / path.relative_to(source)
        text = path.read_text(encoding="utf-8")
        if path.suffix in {".jsonl", ".txt"}:
            write_gzip(copy.with_name(copy.name + ".gz"), text)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(without_laboratory(text), encoding="utf-8")


def attribute_value(value: Json) -> Any:
    """Return the value of an OTLP/JSON `AnyValue`. The client writes 64-bit integers as numbers or as strings."""
    kind, content = next(iter(value.items()))
    return int(content) if kind == "intValue" else content


def attributes(items: Iterable[Json]) -> Json:
    return {item["key"]: attribute_value(item["value"]) for item in items}


def scalar(value: Any) -> Any:
    """Return a value with its type. The client writes some numbers and booleans of log records as strings."""
    if value in {"true", "false"}:
        return value == "true"
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def exact_sum(values: list[float]) -> float:
    total = math.fsum(values)
    return int(total) if all(isinstance(value, int) for value in values) else total


def metric_points(body: Json) -> Iterator[tuple[str, Json, float]]:
    """Yield name, attributes and value of every delta point in an OTLP/JSON metrics body."""
    for resource in body.get("resourceMetrics", ()):
        for scope in resource["scopeMetrics"]:
            for metric in scope["metrics"]:
                for point in metric["sum"]["dataPoints"]:
                    value = point["asDouble"] if "asDouble" in point else int(point["asInt"])
                    yield metric["name"].removeprefix("claude_code."), attributes(point["attributes"]), value


def log_records(body: Json) -> Iterator[Json]:
    for resource in body.get("resourceLogs", ()):
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                yield attributes(record["attributes"])


def telemetry(source: Path) -> dict[str, Json]:
    """Return the client's own metrics and log records, by session id."""
    points: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[float]] = defaultdict(list)
    events: dict[str, dict[str, list[Json]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    prompts: dict[str, int] = defaultdict(int)
    for request in json_lines(source / "otlp.jsonl"):
        for name, labels, value in metric_points(request["body"]):
            kept = tuple((label, labels[label]) for label in METRICS[name] if label in labels)
            points[labels["session.id"], name, kept].append(value)
        for record in log_records(request["body"]):
            session, event = record["session.id"], record["event.name"]
            if event in EVENTS:
                kept_fields = {field: scalar(record[field]) for field in EVENTS[event] if field in record}
                events[session][event].append(kept_fields)
            elif event == "tool_decision":
                key = f"{record['tool_name']} {record['decision']} {record['source']}"
                counts[session][event][key] += 1
            elif event == "user_prompt":
                prompts[session] += 1
    sessions: dict[str, Json] = {}
    for session in sorted({key[0] for key in points} | set(events) | set(counts) | set(prompts)):
        metrics: dict[str, list[Json]] = defaultdict(list)
        for (of_session, name, labels_kept), values in sorted(points.items()):
            if of_session == session:
                metrics[name].append({**dict(labels_kept), "value": exact_sum(values)})
        sessions[session] = {
            "metrics": metrics,
            "tool_decision": counts[session]["tool_decision"],
            "user_prompt": prompts[session],
            **{event: sorted(events[session][event], key=lambda record: record["event.timestamp"]) for event in EVENTS},
        }
    return sessions


def spans(source: Path) -> dict[str, list[Json]]:
    """Return the call and the interaction of each request and tool call in the client's own spans, by session id."""
    by_id: dict[str, Json] = {}
    for request in json_lines(source / "otlp.jsonl"):
        for resource in request["body"].get("resourceSpans", ()):
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    by_id[span["spanId"]] = {
                        **attributes(span["attributes"]),
                        "parent": span.get("parentSpanId"),
                        "id": span["spanId"],
                    }
    found: dict[str, list[Json]] = defaultdict(list)
    for span in by_id.values():
        kind = span["span.type"]
        name = span.get({"tool": "tool_use_id", "llm_request": "request_id"}.get(kind, ""))
        if name is None:
            continue
        within: str | None = None
        above = by_id.get(span["parent"] or "")
        while above is not None and above["span.type"] != "interaction":
            if within is None and above["span.type"] == "tool.execution":
                within = above["tool_use_id"]
            above = by_id.get(above["parent"] or "")
        found[span["session.id"]].append({
            "kind": kind, "id": name, "within": within,
            "interaction": None if above is None else above["id"],
        })  # fmt: skip
    return {session: sorted(told, key=lambda span: (span["kind"], span["id"])) for session, told in found.items()}


def cost_states(transcripts: Path) -> dict[str, Json]:
    """Return the last `cost-state` line of each session's transcript, by session id."""
    last: dict[str, Json] = {}
    for path in sorted(transcripts.rglob("*.jsonl")):
        for line in json_lines(path):
            if line["type"] == "cost-state":
                last[line["sessionId"]] = {key: line[key] for key in line if key not in {"type", "sessionId"}}
    return last


def runs(source: Path) -> list[Json]:
    """Return the output and the exit code of each run of the client. An interactive run has neither."""
    found = []
    for run in json.loads((source / "result.json").read_text(encoding="utf-8")):
        result = run.get("result")
        if isinstance(result, list):  # --output-format stream-json: the last result counts
            result = [message for message in result if message.get("type") == "result"][-1]
        kept: Json = {"run": run["run"], "interactive": "tui" in run, "exit_code": run.get("rc")}
        if isinstance(result, dict):
            kept.update({field: result[field] for field in RESULT_FIELDS if field in result})
        found.append(kept)
    return found


def truth(source: Path) -> Json:
    """Return what tests compare a replay with: the client's telemetry, cost states and results, and git's output."""
    sessions = telemetry(source)
    for session, state in cost_states(source / "transcripts").items():
        sessions.setdefault(session, {})["cost_state"] = state
    for session, told in spans(source).items():
        sessions.setdefault(session, {})["spans"] = told
    content: Json = {"runs": runs(source), "sessions": sessions}
    for name in ("git", "lines"):
        path = source / f"{name}.json"
        if path.exists():
            content[name] = json.loads(path.read_text(encoding="utf-8"))
    return content


def make_scenario(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    write_gzip(target / "hooks.jsonl.gz", hooks(source))
    copy_transcripts(source / "transcripts", target / "transcripts")
    text = json.dumps(truth(source), ensure_ascii=False, indent=1, sort_keys=True)
    (target / "truth.json").write_text(without_laboratory(text) + "\n", encoding="utf-8")
    shutil.copyfile(source / "README.md", target / "README.md")


def main() -> int:
    if len(sys.argv) != 2:
        sys.stderr.write("usage: make.py SOURCE\n")
        return 2
    for hooks_file in sorted(Path(sys.argv[1]).glob("*/hooks.jsonl")):
        make_scenario(hooks_file.parent, HERE / hooks_file.parent.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
