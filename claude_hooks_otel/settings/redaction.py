"""Keeps secrets out of messages: the values of headers, and the credentials inside URLs."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

MASK = "[redacted]"
# Longer texts are cut: a proxy may answer with a whole page.
MAX_LENGTH = 400

# Shorter values (a tenant's number, "1") are not secrets, and masking them would make a message unreadable.
_SHORTEST_SECRET = 4
# Texts of credentials that expire. An answer repeats a recent one at most.
_MOST_LATER_SECRETS = 64
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_QUERY_IN_URL = re.compile(r"(?<=\?)[^\s)'\"]+")


class Redactor:
    """Masks secrets in any text.

    Args:
        secrets: the texts to mask. User names, passwords and queries inside URLs are always masked.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._fixed = frozenset(secret.strip() for secret in secrets)
        self._later: deque[str] = deque(maxlen=_MOST_LATER_SECRETS)
        self._secrets = self._ordered()

    def remember(self, secrets: Iterable[str]) -> None:
        """Mask these texts, too: credentials that are known only now. The oldest of many are forgotten."""
        self._later.extend(secret.strip() for secret in secrets if secret.strip() not in self._later)
        self._secrets = self._ordered()

    def _ordered(self) -> list[str]:
        known = self._fixed.union(self._later)
        return sorted((secret for secret in known if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text on one line, without secrets, cut to MAX_LENGTH."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        text = _QUERY_IN_URL.sub(MASK, _USER_IN_URL.sub(MASK, text))
        text = " ".join(text.split())
        return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def secrets_in(variables: Mapping[str, str]) -> Iterator[str]:
    """Return every secret in ``OTEL_*`` variables: values of headers, and credentials and queries of endpoints."""
    for name, value in variables.items():
        if name.endswith("_HEADERS"):
            yield from _header_secrets(value.split(","))
        elif name.endswith("_ENDPOINT"):
            try:
                url = urlsplit(value)
            except ValueError:  # not a URL, which is an error of its own
                continue
            yield from filter(None, (url.username, url.password, unquote(url.password or ""), url.query))


def header_values(headers: Mapping[str, str]) -> Iterator[str]:
    """Return the values of headers, whole and without their scheme."""
    for value in headers.values():
        yield value
        yield value.partition(" ")[2]


def _header_secrets(headers: Iterable[str]) -> Iterator[str]:
    """Return each value as it is written and as it is sent, whole and without its scheme. A malformed entry counts as a value."""
    for header in headers:
        value = header.partition("=")[2] or header
        for form in (value, unquote(value)):
            yield form
            yield form.strip().partition(" ")[2]  # "Bearer <token>"
