"""Compares the cost with the budgets, and says once in a period that a threshold is reached. It blocks prompts if its owner wants that."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator, Sequence

from claude_hooks_otel.daemon.budget_settings import BudgetSettings
from claude_hooks_otel.delivery.notifications import WAITING, NotificationWorker, add, end_unknown
from claude_hooks_otel.export.notification import Notification, Sent, show_on_desktop
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.home.prompt_files import PromptFiles, read_lifted
from claude_hooks_otel.series.budget_texts import announcement, block_reason, details, headline
from claude_hooks_otel.series.budgets import BudgetState, kept_budgets, read_budgets
from claude_hooks_otel.series.totals import SeriesTotals
from claude_hooks_otel.store.store import Store
from claude_hooks_otel.timeline import BUDGETS_EVERY, SHUTDOWN_TIMEOUT
from claude_hooks_otel.units import DAY

# Seconds between two looks while the cost changes, at least; and as a multiple of what a look takes.
_BUSY_EVERY, _SHARE_OF_TIME = 1.0, 50
# Sessions that were active within this time are blocked one by one if the budget is that of an agent, project or team. And how many.
_ACTIVE_WITHIN, _MOST_SESSIONS = 7 * DAY, 1000

_log = logging.getLogger(__name__)


class Budgets:
    """The budgets of one daemon.

    Args:
        home: where hooks find what they show.
        store: the store, which has the cost.
        totals: say when the cost has changed.
        settings: the budgets.
    """

    def __init__(self, home: Home, store: Store, totals: SeriesTotals, settings: BudgetSettings) -> None:
        self.settings = settings
        self._home = home
        self._store = store
        self._totals = totals
        self._files = PromptFiles(home)
        self._looked_at, self._changes = float("-inf"), -1
        self._states: list[BudgetState] = []
        self._read_at, self._pause = float("-inf"), _BUSY_EVERY
        self._workers = {
            name: NotificationWorker(name, send, store.path, store.now_ns)
            for name, send in (("webhook", self._send_to_webhook), ("desktop", show_on_desktop))
        }
        self._recover()

    def _recover(self) -> None:
        """Finish what an earlier daemon has begun: a notice is shown exactly if its threshold is in the store."""
        with self._store.transaction():
            end_unknown(self._store.connection)
        reached = {
            _file_name(name)
            for (name,) in self._store.connection.execute("SELECT name FROM budget_threshold").fetchall()
        }
        for name in self._files.drafts():
            if name in reached:
                self._files.show(name)
            else:
                self._files.drop(name)
        waiting = self._store.connection.execute(
            "SELECT DISTINCT channel FROM notification WHERE state = ?", (WAITING,)
        )
        self._start([channel for (channel,) in waiting.fetchall()])

    def work(self) -> None:
        """Look at the budgets, if the cost has changed or after some seconds."""
        now, changes = time.monotonic(), self._totals.changes
        wait = BUDGETS_EVERY if changes == self._changes else _BUSY_EVERY
        if now - self._looked_at < max(wait, self._pause):
            return
        self._looked_at, self._changes = now, changes
        if self.settings.refresh():
            _log.info("the budgets were changed in the configuration")
        with contextlib.suppress(OSError):  # a full disk: the next look writes the files
            self.look()

    def look(self) -> list[BudgetState]:
        """Look at the budgets now. Return their states.

        Raises:
            sqlite3.Error: the store cannot be used.
            OSError: the files for the hook cannot be written.
        """
        now_ns, states = self._store.now_ns(), self.states(recompute=True)
        self._announce(states)
        self._block(states, now_ns)
        self._files.clean(now_ns)
        self._keep(states)
        return states

    def states(self, *, recompute: bool = False) -> list[BudgetState]:
        """Return the state of every budget, at most some seconds old; with ``recompute``, as it is now.

        Raises:
            sqlite3.Error: the store cannot be used.
        """
        began = time.monotonic()
        if recompute or began - self._read_at >= max(BUDGETS_EVERY, self._pause):
            self._states = read_budgets(self._store.connection, self.settings.config, self._store.now_ns())
            self._read_at = time.monotonic()
            self._pause = _SHARE_OF_TIME * (self._read_at - began)
        return self._states

    # -- thresholds ----------------------------------------------------------------------------------------------------------

    def _announce(self, states: Sequence[BudgetState]) -> None:
        """Announce the thresholds that are reached. If several are reached at once, only the highest is announced."""
        execute = self._store.connection.execute
        known = {name for (name,) in execute("SELECT name FROM budget_threshold")}
        for state in states:
            new = [percent for percent in _reached(state) if _name(state, percent) not in known]
            if not new:
                continue
            with self._store.transaction():
                for percent in new:
                    execute(
                        "INSERT OR IGNORE INTO budget_threshold VALUES (?, ?)", (_name(state, percent), state.end_ns)
                    )
                if new[-1] == state.reached:
                    self._notify(state, new[-1])

    def _notify(self, state: BudgetState, percent: int) -> None:
        name, channels = _name(state, percent), self.settings.config.notify
        _log.info("budget: %s", announcement(state))
        note = Notification(
            name, headline(state, percent), announcement(state), state.is_used_up, details(state, percent)
        )
        for channel, worker in self._workers.items():
            if channel in channels:
                add(self._store.connection, channel, note, state.end_ns)
                self._store.after_commit(worker.wake)
        if "message" in channels:
            file = _file_name(name)
            self._files.draft(file, f"{note.title}: {note.text}", state.end_ns)
            self._store.after_commit(lambda: self._files.show(file))
        self._start(channels)

    def _start(self, channels: Sequence[str]) -> None:
        for name, worker in self._workers.items():
            if name in channels and not worker.ident:
                worker.start()

    def _send_to_webhook(self, notification: Notification) -> Sent:
        if (config := self.settings.config.webhook) is None:
            return Sent("no webhook is configured", is_final=True)
        from claude_hooks_otel.export.webhook import send_to_webhook  # noqa: PLC0415 — `requests` only where it is used

        return send_to_webhook(config, notification)

    # -- blocks --------------------------------------------------------------------------------------------------------------

    def _block(self, states: Sequence[BudgetState], now_ns: int) -> None:
        """Block the prompts of every session whose budget is used up, and lift all other blocks."""
        reasons: dict[str | None, tuple[str, int]] = {}
        if self.settings.config.block:
            lifted = read_lifted(self._home)
            for state in states:
                if state.is_used_up and state.key not in lifted:
                    reason = block_reason(state, self.settings.config, self.settings.path)
                    for session in self._sessions(state, now_ns):
                        reasons.setdefault(session, (reason, state.end_ns))
        self._files.block(reasons)

    def _sessions(self, state: BudgetState, now_ns: int) -> Iterator[str | None]:
        if state.scope == "all":
            yield None
            return
        rows = self._store.connection.execute(
            f"SELECT session_id FROM session WHERE {state.scope} = ? AND last_seen_ns > ? ORDER BY last_seen_ns DESC LIMIT ?",  # noqa: S608 — one of three words
            (state.name, now_ns - _ACTIVE_WITHIN, _MOST_SESSIONS),
        )
        yield from (session for (session,) in rows)

    # -- the status line -----------------------------------------------------------------------------------------------------

    def _keep(self, states: Sequence[BudgetState]) -> None:
        """Keep the states where the status line reads them, if they have changed."""
        connection, rows = self._store.connection, kept_budgets(states)
        if connection.execute("SELECT * FROM budget_state ORDER BY scope, name, period").fetchall() != rows:
            with self._store.transaction():
                connection.execute("DELETE FROM budget_state")
                connection.executemany("INSERT INTO budget_state VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    # -- end -----------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all threads. What waits stays in the store."""
        running = [worker for worker in self._workers.values() if worker.is_alive()]
        for worker in running:
            worker.stop()
        end = time.monotonic() + SHUTDOWN_TIMEOUT
        for worker in running:
            worker.join(max(0.0, end - time.monotonic()))


def _reached(state: BudgetState) -> list[int]:
    """Return the thresholds that are reached, the lowest first."""
    return [percent for percent in state.thresholds if state.used * 100 >= percent * state.limit]


def _name(state: BudgetState, percent: int) -> str:
    """Return what a threshold is called in the store. A budget with another limit has other thresholds."""
    return f"{state.key}/{state.limit}/{percent}"


def _file_name(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]
