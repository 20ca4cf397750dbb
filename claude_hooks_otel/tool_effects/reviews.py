"""Reads when pull requests were opened and merged from a host's answers, for example to ``gh pr view --json …``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from claude_hooks_otel.tool_effects.pull_requests import pull_request_address
from claude_hooks_otel.tool_effects.values import name_digest
from claude_hooks_otel.units import unix_nanoseconds


@dataclass(frozen=True, slots=True)
class MergedPullRequest:
    """A merged pull request in a host's answer. Times are Unix nanoseconds.

    Attributes:
        address_digest: the ``name_digest`` of its address.
        opened_ns: when it was opened; None if the session did not ask for it.
        merged_ns: when it was merged.
    """

    address_digest: str
    opened_ns: int | None
    merged_ns: int


def merged_pull_requests(output: str) -> list[MergedPullRequest]:
    """Return the merged pull requests in a host's JSON answer, an object or a list; nothing for any other output.

    ``gh --json`` uses the names of GitHub's GraphQL API: ``url``, ``createdAt`` and ``mergedAt``. The REST APIs of GitHub and GitLab
    have ``html_url`` or ``web_url``, ``created_at`` and ``merged_at``.
    """
    text = output.strip()
    if not text.startswith(("{", "[")) or not ("mergedAt" in text or "merged_at" in text):
        return []
    try:
        return list(_merged(json.loads(text)))
    except (ValueError, RecursionError):
        return []


def _merged(value: Any) -> Iterator[MergedPullRequest]:
    if isinstance(value, list):
        for item in value:
            yield from _merged(item)
    elif isinstance(value, dict):
        urls = [url for name in ("html_url", "web_url", "url") if isinstance(url := value.get(name), str)]
        address = next(filter(None, map(pull_request_address, urls)), None)
        opened, merged = (value.get(f"{name}At") or value.get(f"{name}_at") for name in ("created", "merged"))
        if address is not None and isinstance(merged, str):
            with suppress(ValueError):  # not a time
                opened_ns = unix_nanoseconds(opened) if isinstance(opened, str) else None
                yield MergedPullRequest(name_digest(address), opened_ns, unix_nanoseconds(merged))
