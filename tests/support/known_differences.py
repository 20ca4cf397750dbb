"""What recorded sessions hold that no source of ours can tell, by session or scenario, and why."""

from __future__ import annotations

# Session → why its telemetry and ours cannot be compared.
LEFT_OUT = {
    "3067f072": "--no-session-persistence: no transcript is written, so no token of it can be known",
    "8e901532": "--bare: no hook runs, so nobody names the session",
    "dc297d16": "the plugin is disabled: no hook runs, so nobody names the session",
    "efc4f8aa": "the client ran with its telemetry off: here it is known, and its telemetry says nothing",
}
# The client's names of its side requests.
SIDE_REQUESTS = {"compact", "generate_session_title", "web_search_tool", "rename_generate_name"}
NO_TRANSCRIPT = "3067f072"  # --no-session-persistence
NO_HOOKS = {"8e901532", "dc297d16"}  # --bare, a disabled plugin
# Calls that were interrupted: no hook tells how long they ran, so the transcript's times have to do.
UNTIMED = "interrupted"
# A session branched off whose transcript is read before its parent's first event came takes that turn for its own.
BRANCHED = "clear"
# A session whose hooks are registered twice: either copy may be the one that counts, and they are milliseconds apart.
REGISTERED_TWICE = "plugin"
