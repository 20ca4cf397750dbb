"""When pull requests were opened and merged, as their host told a session that asked (``gh pr view --json …``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from claude_hooks_otel.tool_effects.git_operations import name_digest
from claude_hooks_otel.tool_effects.pull_requests import pull_request_address
from claude_hooks_otel.units import unix_nanoseconds


@dataclass(frozen=True, slots=True)
class ToldReview:
    """What a host says of one pull request.

    Attributes:
        address_digest: which (``name_digest`` of its address).
        opened_ns: when it was opened, Unix nanoseconds; None where that was not asked.
        merged_ns: when it was merged; None where it was not, or not asked.
    """

    address_digest: str
    opened_ns: int | None
    merged_ns: int | None


def told_reviews(output: str) -> list[ToldReview]:
    """The merged pull requests in a host's JSON answer, an object or a list of them; nothing for any other output.

    With ``url``, ``createdAt`` and ``mergedAt`` (GitHub's GraphQL names, as ``gh --json`` gives them), or ``html_url`` or
    ``web_url``, ``created_at`` and ``merged_at`` (the REST APIs of GitHub and GitLab).
    """
    text = output.strip()
    if not text.startswith(("{", "[")) or not ("mergedAt" in text or "merged_at" in text):
        return []
    try:
        return list(_told(json.loads(text)))
    except (ValueError, RecursionError):
        return []


def _told(value: Any) -> Iterator[ToldReview]:
    if isinstance(value, list):
        for item in value:
            yield from _told(item)
    elif isinstance(value, dict):
        urls = (value.get(name) for name in ("html_url", "web_url", "url"))
        address = next(
            (found for url in urls if isinstance(url, str) and (found := pull_request_address(url)) is not None), None
        )
        merged = _nanoseconds(value.get("mergedAt") or value.get("merged_at"))
        if address is not None and merged is not None:
            yield ToldReview(
                name_digest(address), _nanoseconds(value.get("createdAt") or value.get("created_at")), merged
            )


def _nanoseconds(value: object) -> int | None:
    """ISO 8601 → Unix nanoseconds; None for anything else."""
    try:
        return unix_nanoseconds(value) if isinstance(value, str) else None
    except ValueError:
        return None
