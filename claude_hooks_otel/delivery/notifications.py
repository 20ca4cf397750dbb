"""Notifications: each is noted in the store before anything is sent, and no try is repeated whose end is unknown.

A try that is refused or finds nobody is repeated until the notification is out of date. A daemon that is killed during a try does not
know whether it succeeded. It does not repeat it: a threshold is never announced twice.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from claude_hooks_otel.delivery.worker import Worker
from claude_hooks_otel.export.notification import Notification, Sent
from claude_hooks_otel.store.connection import transaction

# States of a notification.
WAITING, TRYING, SENT, FAILED, UNKNOWN, EXPIRED = "waiting", "trying", "sent", "failed", "unknown", "expired"
# Tries of a notification on the desktop. Where nobody is logged in, nobody sees a later one either.
MOST_TRIES: Final[Mapping[str, int]] = {"desktop": 3}

_log = logging.getLogger(__name__)

Send = Callable[[Notification], Sent]


def add(connection: sqlite3.Connection, channel: str, notification: Notification, ends_ns: int) -> None:
    """Note a notification, inside the caller's transaction.

    Args:
        connection: the store's connection.
        channel: ``webhook`` or ``desktop``.
        notification: what is sent.
        ends_ns: when it is out of date, Unix nanoseconds.
    """
    content = [notification.title, notification.text, notification.is_urgent, dict(notification.details)]
    connection.execute(
        "INSERT OR IGNORE INTO notification VALUES (?, ?, ?, ?, ?, 0, '')",
        (notification.id, channel, json.dumps(content), ends_ns, WAITING),
    )


def end_unknown(connection: sqlite3.Connection) -> None:
    """Note that the end of each try of an earlier daemon is unknown, inside the caller's transaction."""
    connection.execute("UPDATE notification SET state = ? WHERE state = ?", (UNKNOWN, TRYING))


def open_errors(connection: sqlite3.Connection, now_ns: int) -> list[tuple[str, str, str]]:
    """Return the channel, state and error of each notification that is not out of date and was not accepted yet."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'notification'").fetchone():
        return []  # a store of an earlier version
    return connection.execute(
        "SELECT DISTINCT channel, state, error FROM notification WHERE ends_ns > ? AND error != '' AND state != ?",
        (now_ns, SENT),
    ).fetchall()


class NotificationWorker(Worker):
    """Sends the notifications of one channel.

    Args:
        channel: ``webhook`` or ``desktop``.
        send: sends one. It takes bounded time.
        path: the store's file.
        now_ns: the clock, Unix nanoseconds.
    """

    def __init__(self, channel: str, send: Send, path: Path, now_ns: Callable[[], int]) -> None:
        super().__init__("notifications", channel, path)
        self._send = send
        self._now_ns = now_ns

    def deliver(self, connection: sqlite3.Connection) -> str | None:
        """Send everything that waits, the oldest period first. Return None, or the reason why something still waits."""
        rows = connection.execute(
            "SELECT id, content, ends_ns, tries FROM notification WHERE channel = ? AND state = ? ORDER BY ends_ns, id",
            (self.exporter_name, WAITING),
        ).fetchall()
        failure = None
        for name, content, ends_ns, tries in rows:
            if ends_ns <= self._now_ns():
                self._note(connection, name, EXPIRED)
                continue
            self._note(connection, name, TRYING)
            title, text, is_urgent, details = json.loads(content)
            sent = self._send(Notification(name, title, text, is_urgent, details))
            is_last = sent.is_final or tries + 1 >= MOST_TRIES.get(self.exporter_name, 1 << 30)
            self._note(connection, name, SENT if sent.error is None else FAILED if is_last else WAITING, sent.error)
            if sent.error is not None:
                _log.warning("a notification was not accepted by the %s: %s", self.exporter_name, sent.error)
                failure = failure if is_last else sent.error
            else:
                self.delivered += 1
        return failure

    def _note(self, connection: sqlite3.Connection, name: str, state: str, error: str | None = None) -> None:
        with transaction(connection):
            connection.execute(
                "UPDATE notification SET state = ?1, tries = tries + (?1 = ?5), error = COALESCE(?2, error) "
                "WHERE id = ?3 AND channel = ?4",
                (state, error, name, self.exporter_name, TRYING),
            )
