"""Prompts, commands, paths, inputs and outputs have a length and a digest. They have a text only if a switch is on."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from claude_hooks_otel.daemon.assembly import Core
from claude_hooks_otel.facts import model
from claude_hooks_otel.facts.content import HOOK, TRANSCRIPT, ContentKeeper
from claude_hooks_otel.settings import CaptureConfig, Config
from claude_hooks_otel.timeline import CONTENT_KEPT
from claude_hooks_otel.traces.content import content_of
from tests.support.corpus import SCENARIOS, Scenario
from tests.support.known_differences import NO_HOOKS, NO_TRANSCRIPT
from tests.support.replay import Replay, adopt_transcripts

Attributes = Mapping[str, Mapping[str, Any]]

# Kind of text → (prefix of the attributes with its length and digest, attribute with the text).
NAMES = {
    "prompt": ("claude.prompt", "claude.prompt"),
    "command": ("claude.tool.command", "claude.tool.command"),
    "path": ("claude.tool.path", "claude.tool.path"),
    "input": ("claude.tool.input", "gen_ai.tool.call.arguments"),
    "output": ("claude.tool.output", "gen_ai.tool.call.result"),
}
SWITCHES = {
    "prompts": {"prompt"},
    "commands": {"command"},
    "paths": {"path"},
    "tool_output": {"input", "output"},
}
# Characters. Shorter texts ("ok", "x = 1") may be in a database by chance.
SEARCHED_FROM = 16


def _play(
    scenario: Scenario,
    folder: Path,
    capture: CaptureConfig | None = None,
    *,
    seed: int | None = None,
    twice: bool = False,
) -> Replay:
    config = Config(capture=capture or CaptureConfig())
    replay = Replay(scenario, folder, config=config, keeps_content=True)
    hooks = list(replay.hooks)
    if seed is not None:
        random.Random(seed).shuffle(hooks)
    replay.write_transcripts()
    for part in (0, 1):  # a restart, after which the daemon remembers no open call
        replay.spool(hooks[part::2])
        if twice:
            replay.spool(hooks[part::2], copy="-again")
        replay.drain()
        replay.restart()
    replay.finish()
    return replay


def _attributes(replay: Replay) -> Attributes:
    facts = replay.core.facts
    owners = [turn.prompt_id for turn in facts.select(model.Turn)]
    owners += [call.tool_use_id for call in facts.select(model.ToolCall)]
    found = content_of(facts, owners)
    replay.core.store.close()
    return found


# -- the texts of the recordings, read without the package ---------------------------------------------------------------------


def _form(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _of_input(tool: str, arguments: dict[str, Any]) -> dict[str, str]:
    texts = {"input": _form(arguments)}
    if tool in ("Bash", "Monitor"):
        texts["command"] = arguments["command"]
    for name in ("path", "notebook_path", "file_path"):
        if name in arguments:
            texts["path"] = arguments[name]
    return texts


def _texts_of_hooks(scenario: Scenario) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for hook in scenario.hooks:
        fields = hook.fields
        if hook.event == "UserPromptSubmit" and not fields["prompt"].startswith("<task-notification>"):
            found.setdefault(fields["prompt_id"], {"prompt": fields["prompt"]})
        elif hook.event in ("PostToolUse", "PostToolUseFailure", "PermissionDenied"):
            texts = found.setdefault(fields["tool_use_id"], {})
            texts |= _of_input(fields["tool_name"], fields["tool_input"])
            if hook.event != "PermissionDenied":
                texts["output"] = _form(fields["tool_response" if hook.event == "PostToolUse" else "error"])
    return found


def _texts_of_transcripts(scenario: Scenario) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in sorted(scenario.transcript_names):
        for line in scenario.transcript(name):
            content = (line.get("message") or {}).get("content")
            for block in content if isinstance(content, list) else ():
                if block["type"] == "tool_use":
                    for kind, text in _of_input(block["name"], block["input"]).items():
                        found.setdefault(block["id"], {}).setdefault(kind, text)
                elif block["type"] == "tool_result":
                    structured = None if block.get("is_error") else line.get("toolUseResult")
                    result = block["content"] if structured is None else structured
                    found.setdefault(block["tool_use_id"], {}).setdefault("output", _form(result))
    return found


def _digests(texts: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, text in texts.items():
        found[f"{NAMES[kind][0]}.length"] = len(text)
        found[f"{NAMES[kind][0]}.sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return found


# -- the default -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_by_default_each_text_has_only_a_length_and_a_digest(name: str, tmp_path: Path) -> None:
    """Length and digest come from the text of the hook, or else of the transcript. No text is kept."""
    scenario = Scenario(name)
    replay = _play(scenario, tmp_path)
    attributes = _attributes(replay)
    hooks, transcripts = _texts_of_hooks(scenario), _texts_of_transcripts(scenario)
    assert {owner for owner in hooks if hooks[owner]} <= attributes.keys()
    for owner, found in attributes.items():
        expected = _digests({**transcripts.get(owner, {}), **hooks.get(owner, {})})
        if "prompt" in hooks.get(owner, {}) or expected:
            assert found == expected, owner
        else:  # only the transcript has this prompt, because its session has no hooks
            assert found.keys() == {"claude.prompt.length", "claude.prompt.sha256"}
    texts = {
        text for source in (hooks, transcripts) for each in source.values() for text in each.values()
        if len(text) >= SEARCHED_FROM
    }  # fmt: skip
    stored = b"".join(path.read_bytes() for path in replay.home.store.parent.glob(f"{replay.home.store.name}*"))
    assert [text for text in texts if text.encode() in stored or json.dumps(text).encode()[1:-1] in stored] == []


def test_no_content_is_kept_if_nothing_uses_it(tmp_path: Path) -> None:
    replay = Replay(Scenario("basic-edit"), tmp_path, config=Config(capture=CaptureConfig(prompts=True, commands=True)))
    replay.write_transcripts()
    replay.spool(replay.hooks)
    replay.finish()
    assert replay.core.facts.select(model.Content) == []
    assert _attributes(replay) == {}


# -- order of events, and one source alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["basic-edit", "subagents", "resume", "permissions", "tui-more"])
def test_the_order_of_events_copies_and_restarts_change_nothing(name: str, tmp_path: Path) -> None:
    scenario, everything = Scenario(name), CaptureConfig(prompts=True, commands=True, paths=True, tool_output=True)
    once = _attributes(_play(scenario, tmp_path / "once", everything))
    for seed in (1, 2):
        assert _attributes(_play(scenario, tmp_path / str(seed), everything, seed=seed, twice=True)) == once


@pytest.mark.parametrize("name", ["basic-edit", "subagents", "mcp", "files"])
def test_each_source_alone_gives_the_texts_that_it_has(name: str, tmp_path: Path) -> None:
    """If both sources have the same text, they give the same digest."""
    scenario = Scenario(name)
    leave_out = {NO_TRANSCRIPT, *NO_HOOKS}
    by_hooks = Replay(scenario, tmp_path / "hooks", leave_out=leave_out, keeps_content=True)
    by_hooks.spool(by_hooks.hooks)
    by_hooks.finish()
    by_transcripts = Replay(scenario, tmp_path / "transcripts", leave_out=leave_out, keeps_content=True)
    by_transcripts.write_transcripts()
    adopt_transcripts(by_transcripts)
    by_transcripts.finish()
    hooks, transcripts = _attributes(by_hooks), _attributes(by_transcripts)
    expected = _texts_of_transcripts(scenario)
    assert {owner: dict(found) for owner, found in hooks.items()} == {
        owner: _digests(texts) for owner, texts in _texts_of_hooks(scenario).items()
    }
    calls = {owner: dict(found) for owner, found in transcripts.items() if owner in expected}
    assert calls == {owner: _digests(expected[owner]) for owner in calls}
    assert calls
    prompts = {owner for owner, found in hooks.items() if "claude.prompt.sha256" in found} & transcripts.keys()
    assert prompts
    assert [owner for owner in prompts if hooks[owner] != transcripts[owner]] == []


def test_the_prompt_of_a_subagent_counts_as_the_input_of_a_call(tmp_path: Path) -> None:
    scenario = Scenario("subagents")
    everything = CaptureConfig(prompts=True, commands=True, paths=True, tool_output=True, max_characters=10**6)
    attributes = _attributes(_play(scenario, tmp_path, everything))
    asked = [
        hook.fields["tool_input"]["prompt"] for hook in scenario.hooks
        if hook.event == "PostToolUse" and hook.fields["tool_name"] == "Agent"
    ]  # fmt: skip
    prompts = {found["claude.prompt"] for found in attributes.values() if "claude.prompt" in found}
    inputs = [
        json.loads(found["gen_ai.tool.call.arguments"])
        for found in attributes.values()
        if "gen_ai.tool.call.arguments" in found
    ]
    assert len(asked) > 10
    assert prompts
    for prompt in asked:
        assert prompt not in prompts
        assert any(arguments.get("prompt") == prompt for arguments in inputs)


# -- switches ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_shows_its_texts_and_no_others(switch: str, tmp_path: Path) -> None:
    scenario = Scenario("basic-edit")
    attributes = _attributes(_play(scenario, tmp_path, CaptureConfig(**{switch: True}, max_characters=10**6)))
    expected = {
        owner: {**_texts_of_transcripts(scenario).get(owner, {}), **texts}
        for owner, texts in _texts_of_hooks(scenario).items()
    }
    shown = 0
    for owner, texts in expected.items():
        for kind, text in texts.items():
            if kind in SWITCHES[switch]:
                assert attributes[owner][NAMES[kind][1]] == text
                shown += 1
            else:
                assert NAMES[kind][1] not in attributes[owner]
            assert attributes[owner][f"{NAMES[kind][0]}.length"] == len(text)
    assert shown


# -- redaction and bounds --------------------------------------------------------------------------------------------------------


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    replay = Replay(Scenario("basic-edit"), tmp_path, keeps_content=True)
    yield replay.core
    replay.core.store.close()


def test_a_secret_is_removed_before_the_text_is_cut(core: Core) -> None:
    """If the cut goes through a secret, nothing of it stays. The digest is that of the whole text."""
    secret = "ghp_" + "aB3" * 12
    text = f"use {secret} for it"
    store, facts = core.store, core.facts
    for limit in range(1, len(text) + 2):
        keeper = ContentKeeper(facts, CaptureConfig(prompts=True, max_characters=limit))
        with store.transaction():
            keeper.prompt(HOOK, f"prompt-{limit}", 1, text)
        found = content_of(facts, [f"prompt-{limit}"])[f"prompt-{limit}"]
        shown = str(found["claude.prompt"])
        assert secret[:3] not in shown
        assert shown == (
            text[:limit] + "…"
            if limit <= 4
            else "use [REDACTED:github-token]"
            + text[44:limit]
            + ("…" if limit < len(text) and len(text) > max(limit, 44) else "")
        )
        assert found["claude.prompt.length"] == len(text)
        assert found["claude.prompt.sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_secret_in_an_input_never_enters_the_store(core: Core) -> None:
    keeper = ContentKeeper(core.facts, CaptureConfig(commands=True, tool_output=True, paths=True))
    command = 'export DB_PASSWORD="correct-horse-battery" && psql'
    with core.store.transaction():
        output = {"stdout": 'password = "correct-horse-battery"\n'}
        keeper.tool_call(HOOK, "call", 1, "Bash", {"command": command}, output)
    shown = content_of(core.facts, ["call"])["call"]
    assert shown["claude.tool.command"] == 'export DB_PASSWORD="[REDACTED:password]" && psql'
    assert shown["gen_ai.tool.call.arguments"] == json.dumps(
        {"command": shown["claude.tool.command"]}, separators=(",", ":")
    )
    core.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"correct-horse" not in core.store.path.read_bytes()


def test_a_character_that_utf8_cannot_encode_becomes_a_question_mark(core: Core) -> None:
    keeper = ContentKeeper(core.facts, CaptureConfig(prompts=True))
    with core.store.transaction():
        keeper.prompt(TRANSCRIPT, "prompt", 1, "a\ud800b")
    assert content_of(core.facts, ["prompt"])["prompt"] == {**_digests({"prompt": "a?b"}), "claude.prompt": "a?b"}


def test_the_first_text_counts_and_the_hook_wins_over_the_transcript(core: Core) -> None:
    keeper = ContentKeeper(core.facts, CaptureConfig(prompts=True))
    with core.store.transaction():
        for source, at, text in ((TRANSCRIPT, 1, "t"), (HOOK, 9, "second"), (HOOK, 5, "first"), (TRANSCRIPT, 0, "u")):
            keeper.prompt(source, "prompt", at, text)
    assert content_of(core.facts, ["prompt", "unknown"])["prompt"]["claude.prompt"] == "first"


def test_the_texts_of_many_owners_are_read_at_once(core: Core) -> None:
    keeper = ContentKeeper(core.facts, CaptureConfig())
    owners = [f"call-{number}" for number in range(1234)]
    with core.store.transaction():
        for owner in owners:
            keeper.tool_call(HOOK, owner, 1, result=owner)
    assert content_of(core.facts, owners) == {owner: _digests({"output": owner}) for owner in owners}


def test_content_is_forgotten_with_the_facts(core: Core) -> None:
    keeper = ContentKeeper(core.facts, CaptureConfig(prompts=True))
    core.store.now_ns = lambda: 100
    with core.store.transaction():
        keeper.prompt(HOOK, "old", 10, "old")
        keeper.prompt(HOOK, "new", 20, "new")
    core.store.forget(15)
    assert content_of(core.facts, ["old", "new"]).keys() == {"new"}


def test_content_is_forgotten_when_its_spans_and_log_events_are_written(core: Core) -> None:
    """That is long before its facts are forgotten."""
    keeper = ContentKeeper(core.facts, CaptureConfig())
    core.store.now_ns = lambda: CONTENT_KEPT + 15
    with core.store.transaction():
        keeper.prompt(HOOK, "old", 10, "old")
        keeper.prompt(HOOK, "new", 20, "new")
    core.store.forget(0)
    assert content_of(core.facts, ["old", "new"]).keys() == {"new"}


def test_the_rules_are_imported_only_for_a_text_that_is_kept(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)  # makes an import of it fail
    keeper = ContentKeeper(core.facts, CaptureConfig(commands=True))
    with core.store.transaction():
        keeper.prompt(HOOK, "prompt", 1, "what?")
        with pytest.raises(ModuleNotFoundError):
            keeper.tool_call(HOOK, "call", 1, "Bash", {"command": "ls"})
