"""A new file of guidance, which agents load later, counts as an extracted pattern."""

from __future__ import annotations

import pytest

from claude_hooks_otel.tool_effects.guidance import extracts_pattern


@pytest.mark.parametrize(
    ("path", "is_guidance"),
    [
        ("/w/shop/.claude/skills/deploy/SKILL.md", True), ("/w/plug/skills/deploy/SKILL.md", True),
        ("/w/shop/.claude/commands/team/ship.md", True), ("/w/shop/.claude/agents/tester.md", True),
        ("/w/shop/.claude/rules/api.md", True), ("/w/shop/CLAUDE.md", True), ("/w/shop/sub/CLAUDE.local.md", True),
        ("AGENTS.md", True), ("/w/shop/docs/patterns/retry.md", True), ("C:\\w\\.claude\\agents\\tester.md", True),
        ("/w/shop/README.md", False), ("/w/shop/.claude/settings.json", False), ("/w/shop/NOTCLAUDE.md", False),
        ("/w/shop/skills/deploy/notes.md", False),
    ],
)  # fmt: skip
def test_a_write_that_creates_a_file_of_guidance_extracts_a_pattern(path, is_guidance):
    assert extracts_pattern("Write", {"file_path": path}, {"type": "create"}) is is_guidance
    assert extracts_pattern("Write", {"file_path": path}, f"File created successfully at: {path}") is is_guidance
    assert not extracts_pattern("Write", {"file_path": path}, {"type": "update"})
    assert not extracts_pattern("Edit", {"file_path": path}, {"type": "create"})
