"""The table of hook events is current: it has every event of each installed client."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from claude_hooks_otel.sources.registration import KNOWN_EVENTS, NEWER_EVENTS, OLDEST_CLIENT, REGISTERED, plugin_hooks
from tests.support.client.versions import VERSIONS, installed, version_of
from tests.support.places import ROOT

pytestmark = pytest.mark.client

# The client's own list of its events, in the JavaScript inside its executable.
_EVENTS = re.compile(rb'\["PreToolUse"(?:,"[A-Za-z]+"){20,}\]')


@pytest.mark.skipif(not installed(), reason="no Claude Code client is installed")
@pytest.mark.parametrize("client", installed(), ids=lambda path: path.parents[3].name)
def test_every_event_of_an_installed_client_is_known(client: Path) -> None:
    """An unknown event needs a decision: whether it is registered, and why. See ``sources/registration.py``."""
    lists = [re.findall(rb'"([A-Za-z]+)"', found) for found in _EVENTS.findall(client.read_bytes())]
    assert lists, "the client's executable has no list of its events any more"
    events = {name.decode() for name in max(lists, key=len)}
    assert events - KNOWN_EVENTS == set()
    assert {"PostToolUse", "SessionStart", "SessionEnd"} <= events
    # It would run no hook of a plugin's default file that has an event which it lacks.
    assert set(plugin_hooks()["hooks.json"]["hooks"]) <= events
    if version_of(client) == OLDEST_CLIENT:
        assert REGISTERED.keys() - events == NEWER_EVENTS


def test_ci_installs_the_versions_that_the_tests_run() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert set(re.findall(r"\b2\.\d+\.\d+\b", script)) == set(VERSIONS)
