"""The identity of a tool call. Some gateways give its ``tool_use_id`` again to another call.

The API makes random ids. Gateways in front of other makers' models often count instead: ``call_0``, ``functions.Bash:0``. They start again
in each prompt. Such an id identifies a call only together with its session, its prompt and its sub-agent. Hooks and transcripts name the
same three: in all recorded sessions, a hook's ``prompt_id`` equals the last ``promptId`` of the transcript before the call.
"""

from __future__ import annotations

import re
from typing import Final

# A random part: nine characters in a row, as in the shortest random ids (Mistral's).
_RANDOM: Final = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{9,}|[0-9a-f]{8}-[0-9a-f]{4}-")
# No id contains it.
_SEPARATOR: Final = " "


def is_random(call_id: str) -> bool:
    """Return whether no other call can have this ``tool_use_id``."""
    return _RANDOM.search(call_id) is not None


def call_identity(call_id: str, session_id: str, prompt_id: str | None, agent_id: str | None) -> str:
    """Return what identifies a tool call.

    Args:
        call_id: its ``tool_use_id``.
        session_id: the session that made the call.
        prompt_id: the prompt that it belongs to; None before client 2.1.196, whose hooks do not name it.
        agent_id: the sub-agent that made it; None for the main conversation.

    Returns:
        The ``tool_use_id`` itself if it is random, otherwise all four together.
    """
    if is_random(call_id):
        return call_id
    return _SEPARATOR.join((session_id, prompt_id or "", agent_id or "", call_id))


def call_id_of(identity: str) -> str:
    """Return the ``tool_use_id`` of the call that an identity stands for."""
    return identity.rpartition(_SEPARATOR)[2]
