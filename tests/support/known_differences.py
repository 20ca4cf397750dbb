"""Sessions and scenarios in which the client's telemetry and ours differ, and why."""

from __future__ import annotations

# Session → why the client's telemetry and ours cannot be compared.
LEFT_OUT = {
    "3067f072": "--no-session-persistence: there is no transcript, so its tokens are unknown",
    "8e901532": "--bare: no hook runs, so the session is unknown",
    "dc297d16": "the plugin is disabled: no hook runs, so the session is unknown",
    "efc4f8aa": "the client ran without its telemetry",
}
# The client's names of its side requests.
SIDE_REQUESTS = {"compact", "generate_session_title", "web_search_tool", "rename_generate_name"}
NO_TRANSCRIPT = "3067f072"  # --no-session-persistence
NO_HOOKS = {"8e901532", "dc297d16"}  # --bare, a disabled plugin
# The outcome of interrupted calls. No hook reports how long they ran, so their times come from the transcript.
UNTIMED = "interrupted"
# A session here branches off another. If its transcript is read before the first event of its parent, it gets the parent's turn.
BRANCHED = "clear"
# The hooks of these sessions are registered twice. The copies are milliseconds apart, and either of them may count.
REGISTERED_TWICE = "plugin"
