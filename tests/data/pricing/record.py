"""Make requests.jsonl from recordings of the real client. README.md describes such a recording.

usage: python record.py RECORDING... > requests.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        yield from map(json.loads, lines)


def costs(recording: Path) -> dict[str, float]:
    """Return the cost of each request in the client's own telemetry, by request id."""
    found = {}
    for export in read(recording / "otlp.jsonl"):
        for resource in export["body"].get("resourceLogs", []):
            for record in (record for scope in resource["scopeLogs"] for record in scope["logRecords"]):
                attributes = {item["key"]: next(iter(item["value"].values())) for item in record["attributes"]}
                if attributes.get("event.name") == "api_request":
                    found[attributes["request_id"]] = attributes["cost_usd"]
    return found


def answers(recording: Path) -> dict[str, dict[str, Any]]:
    """Return one transcript line for each request. If several lines repeat an answer, it is the one with the most output."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(recording.glob("transcripts/**/*.jsonl")):
        for line in read(path):
            if line["type"] == "assistant" and "requestId" in line:
                best = found.setdefault(line["requestId"], line)
                if line["message"]["usage"]["output_tokens"] > best["message"]["usage"]["output_tokens"]:
                    found[line["requestId"]] = line
    return found


def tokens(usage: dict[str, Any]) -> dict[str, int]:
    """Return the fields of `TokenUsage`."""
    written = usage.get("cache_creation_input_tokens") or 0
    for_an_hour = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    counts = {
        "input": usage["input_tokens"],
        "output": usage["output_tokens"],
        "cache_read": usage.get("cache_read_input_tokens") or 0,
        "cache_write_5m": written - for_an_hour,
        "cache_write_1h": for_an_hour,
        "web_searches": (usage.get("server_tool_use") or {}).get("web_search_requests") or 0,
    }
    return {name: count for name, count in counts.items() if count}


def main() -> None:
    seen = set()
    for recording in map(Path, sys.argv[1:]):
        cost = costs(recording)
        for request_id, line in sorted(answers(recording).items(), key=lambda item: item[1]["timestamp"]):
            if request_id not in cost:
                continue
            usage = line["message"]["usage"]
            request = {
                "requested_model": line["requestedModel"],
                "usage": tokens(usage),
                "speed": usage.get("speed"),
                "inference_geo": usage.get("inference_geo"),
                "cost_usd": cost[request_id],
            }
            if iterations := usage.get("iterations"):
                request["iterations"] = [tokens(each) for each in iterations if each["type"] == "message"]
            shape = json.dumps(request)
            if shape not in seen:
                seen.add(shape)
                where = {"recording": recording.name, "timestamp": line["timestamp"]}
                sys.stdout.write(json.dumps(where | request) + "\n")


if __name__ == "__main__":
    main()
