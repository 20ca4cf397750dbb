"""Every waiting time of the daemon, in the order in which the waits happen. ``docs/architecture.md`` has a picture of them.

Times of sessions are nanoseconds. Most of them count a session's silence: the time since its last event or line arrived. Times of the
daemon's own work are seconds, as ``threading`` takes them.
"""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.units import DAY, MINUTE, SECOND

# -- a session: captured, paired, written, over, forgotten (nanoseconds) ---------------------------------------------------------

# Two equal payloads within this time are copies. A plugin and a settings file may both register the same hook.
COPIES_WITHIN: Final = 2 * SECOND
# The follower looks at a session again after a quarter of its silence, but not sooner or later than these times.
SHORTEST_LOOK, LONGEST_LOOK, LOOKS_PER_SILENCE = SECOND // 4, 10 * SECOND, 4
# Starts and ends are paired after this silence. Before that, two of three events could form a wrong pair.
PAIRED_AFTER: Final = 1 * SECOND
# A session that is over is followed for this long, because the client writes its last lines after its last event.
FOLLOWED_AFTER: Final = 3 * SECOND
# Finished spans and log events are written after this silence, because a later event could still change them …
WRITTEN_AFTER: Final = 5 * SECOND
# … or this long after a change, if the session is never silent.
WRITTEN_AT_LATEST: Final = 30 * SECOND
# A session is over this long after its SessionEnd. No event is on its way then, so open calls were interrupted.
OVER_AFTER: Final = 5 * SECOND
# A session without a SessionStart counts after this silence. Until then, the event may still arrive.
START_ASSUMED_AFTER: Final = 60 * SECOND
# Without a SessionEnd, a session is over after this silence if its process is gone. It is no longer active either.
KILLED_AFTER: Final = 30 * MINUTE
# The transcripts of a working session are looked at for growth until this long after its last event or line.
WORKING_FOR: Final = 30 * MINUTE
# Parallel calls end within this time if a person refuses one of them.
REFUSED_WITHIN: Final = SECOND // 10
# A client version is in use until this long after its last session.
IN_USE_FOR: Final = DAY
# Two sessions belong to one ``/clear`` if the second starts within this time after the end of the first.
CLEARED_WITHIN: Final = 10 * SECOND
# A session inherited its account from another session if the account is this much older than the session.
INHERITED_BEFORE: Final = 5 * SECOND
# Exemplars are exported for this long. Prometheus shows a series for the same time after its last sample.
EXEMPLAR_KEPT: Final = 5 * MINUTE
# Scores are computed at most this often. They change slowly, and exports can happen every second.
SCORES_KEPT: Final = 15 * SECOND
# Lengths and digests of texts are kept this long. The spans and log events that need them are written within seconds.
CONTENT_KEPT: Final = 7 * DAY
# Measurements that a custom exporter does not accept are dropped after this time.
MEASUREMENT_KEPT: Final = 30 * DAY
# Facts are deleted ``[daemon] retention_days`` after the last event or line of their session.

# -- the daemon (seconds) --------------------------------------------------------------------------------------------------------

# The time between two looks at the spool and at the transcripts of working sessions: busy until BUSY_FOR after the last event, and
# otherwise calm. A look is one system call a file, and it starts a round of the loop if there is something new.
SPOOL_LOOK_BUSY, SPOOL_LOOK_CALM, BUSY_FOR = 0.25, 0.5, 5.0
# The time between two rounds if there is nothing new. A round costs several times as much as a look.
ROUND_CALM: Final = 2.0
# The writer of a file in the spool's tmp/ is gone when the file is this old. A hook runs for milliseconds.
WRITER_GONE_AFTER: Final = 60.0
# The time between two rounds of recovering what killed hooks left behind, and of deleting old facts.
RECOVER_EVERY, FORGET_EVERY = 60.0, 3600.0
# The time before the next try if the store cannot be written, for example on a full disk. Events wait in the spool.
STORE_RETRY: Final = 5.0
# How long a flush of the daemon reads on in transcripts that are too large for one look.
DRAIN_FOR: Final = 4.0
# How long a flush waits for an endpoint. By default, the timeout of the exporters is shorter.
FLUSH_TIMEOUT: Final = 30.0
# How long the daemon takes at most to stop. Running exports have that time to finish.
SHUTDOWN_TIMEOUT: Final = 3.0
# The pause between two tries at a failing endpoint. It doubles from the first to the longest.
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
# The longest pause that an endpoint can ask for (Retry-After, RetryInfo).
LONGEST_ASKED_PAUSE: Final = 3600.0
# The time between two checks of the limits of waiting items, and between two samples of gauges for custom exporters.
TRIM_EVERY, SAMPLE_EVERY = 60.0, 60.0
# The time between two looks at the budgets while nothing happens: their periods end, and their owner changes the configuration.
BUDGETS_EVERY: Final = 5.0
