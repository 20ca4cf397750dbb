"""Every time that the daemon waits, in the order in which the waits happen. ``docs/architecture.md`` shows them as a picture.

Times about sessions are nanoseconds and count the silence of a session: how long none of its events or lines has arrived.
Times about the daemon's own work are seconds, as ``threading`` takes them.
"""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.units import DAY, MINUTE, SECOND

# -- a session: captured, paired, written, over, forgotten (nanoseconds) ---------------------------------------------------------

# Two equal payloads within this time are two copies of one hook: a plugin and a settings file may both register it.
COPIES_WITHIN: Final = 2 * SECOND
# The follower looks at a session again after a quarter of its silence, within these bounds.
SHORTEST_LOOK, LONGEST_LOOK, LOOKS_PER_SILENCE = SECOND // 4, 10 * SECOND, 4
# Starts and ends are paired after this silence. Paired earlier, two of three events could form a wrong pair that stays.
PAIRED_AFTER: Final = 1 * SECOND
# A session that is over is followed a little longer: the client writes its last lines after its last event.
FOLLOWED_AFTER: Final = 3 * SECOND
# A session's finished spans and log events are written after this silence, because a later event could still change them …
WRITTEN_AFTER: Final = 5 * SECOND
# … or this long after a change, in a session that is never silent.
WRITTEN_AT_LATEST: Final = 30 * SECOND
# A session is over this long after its SessionEnd: nothing of it is on its way any more, so open calls were interrupted.
OVER_AFTER: Final = 5 * SECOND
# A session without a SessionStart counts after this silence: the event may still arrive.
START_ASSUMED_AFTER: Final = 60 * SECOND
# A session whose process is gone and that has been silent this long is over, even without a SessionEnd. It is no longer active.
KILLED_AFTER: Final = 30 * MINUTE
# A client version counts as in use this long after its last session.
IN_USE_FOR: Final = DAY
# Two sessions belong to one ``/clear`` if the second starts within this time after the first ends.
CLEARED_WITHIN: Final = 10 * SECOND
# An account that started this much before its session was first seen is inherited from another session.
INHERITED_BEFORE: Final = 5 * SECOND
# An exemplar is exported for this long. Prometheus shows a series for as long after its last sample.
EXEMPLAR_KEPT: Final = 5 * MINUTE
# Scores stand for this long: they change slowly, while exports come every second.
SCORES_KEPT: Final = 15 * SECOND
# Lengths and digests of texts are kept for a week. The spans and log events that need them are written within seconds.
CONTENT_KEPT: Final = 7 * DAY
# Measurements that a custom exporter does not take are dropped after thirty days.
MEASUREMENT_KEPT: Final = 30 * DAY
# Facts are forgotten ``[daemon] retention_days`` after the last sign of life of their session.

# -- the daemon (seconds) --------------------------------------------------------------------------------------------------------

# Between two looks at the spool: while sessions work, and otherwise. A look is one system call.
SPOOL_LOOK_BUSY, SPOOL_LOOK_CALM, BUSY_FOR = 0.25, 1.0, 5.0
# A file in the spool's tmp/ is older than this: its writer is gone, because a hook lives for milliseconds.
WRITER_GONE_AFTER: Final = 60.0
# Between two rounds of housekeeping: recovering what killed hooks left behind, and forgetting old facts.
RECOVER_EVERY, FORGET_EVERY = 60.0, 3600.0
# Before the next try when the store cannot be written, for instance on a full disk. Events wait in the spool.
STORE_RETRY: Final = 5.0
# A flush waits this long for an endpoint. The exporters' own timeout is shorter by default.
FLUSH_TIMEOUT: Final = 30.0
# Ending the daemon takes this long at most: exports under way get that time to finish.
SHUTDOWN_TIMEOUT: Final = 3.0
# Between two tries at an endpoint that fails: the pause doubles from the first to the longest.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
# Between two looks at the bounds of what waits for endpoints, and between two samples of gauges for custom exporters.
TRIM_EVERY, SAMPLE_EVERY = 60.0, 60.0
