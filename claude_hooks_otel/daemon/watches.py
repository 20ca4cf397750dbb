"""Which sessions are watched: when each was last heard of, when it was last looked at, whose turn it is."""

from __future__ import annotations

SECOND = 1_000_000_000  # nanoseconds
# How often a session's transcripts are looked at: while its events arrive, while it may be answering at length, and later.
BUSY_POLL_NS, CALM_POLL_NS, SLOW_POLL_NS = SECOND // 4, SECOND, 10 * SECOND
BUSY_FOR_NS, CALM_FOR_NS = 3 * SECOND, 600 * SECOND


class Watches:
    """The sessions that something may still be coming in of.

    Two plain dictionaries: a backlog of days is tens of thousands of sessions, and the daemon's memory is a promise.
    """

    def __init__(self) -> None:
        self._heard_ns: dict[str, int] = {}
        self._looked_ns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._heard_ns)

    def hear(self, session_id: str, now_ns: int) -> None:
        """Something of the session arrived: it is looked at next time, whenever it was last."""
        self._heard_ns[session_id] = now_ns
        self._looked_ns.pop(session_id, None)

    def read_more(self, session_id: str, now_ns: int) -> None:
        """Its transcripts have grown."""
        self._heard_ns[session_id] = now_ns

    def due(self, now_ns: int, *, everything: bool = False) -> list[str]:
        """The sessions whose turn it is, or all of them; each counts as looked at."""
        found = [session_id for session_id in self._heard_ns if everything or self._is_due(session_id, now_ns)]
        self._looked_ns.update(dict.fromkeys(found, now_ns))
        return found

    def heard_ns(self, session_id: str) -> int:
        """When something of it last arrived here, Unix nanoseconds."""
        return self._heard_ns[session_id]

    def is_quiet(self, session_id: str, now_ns: int) -> bool:
        """Whether nothing of it has arrived for a while."""
        return now_ns - self._heard_ns[session_id] > BUSY_FOR_NS

    def forget(self, session_id: str) -> None:
        """Stops watching it, until something of it arrives."""
        self._heard_ns.pop(session_id, None)
        self._looked_ns.pop(session_id, None)

    def _is_due(self, session_id: str, now_ns: int) -> bool:
        quiet = now_ns - self._heard_ns[session_id]
        every = BUSY_POLL_NS if quiet < BUSY_FOR_NS else CALM_POLL_NS if quiet < CALM_FOR_NS else SLOW_POLL_NS
        return now_ns - self._looked_ns.get(session_id, 0) >= every
