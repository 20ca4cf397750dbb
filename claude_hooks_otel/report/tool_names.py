"""The names of tools as the client writes them. A label of a metric has them in its one spelling, which is lower case."""

from __future__ import annotations

from typing import Final

from claude_hooks_otel.metrics.labels import normalize

# The client's own tools, now and in older clients. Source: the names in the programs 2.1.150 to 2.1.332.
CLIENT_TOOLS: Final = (
    "Agent", "AgentOutputTool", "Artifact", "AskUserQuestion", "Bash", "BashOutput", "CronCreate", "CronDelete", "CronList", "Edit",
    "EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "Glob", "Grep", "KillBash", "KillShell", "LS", "LSP",
    "ListMcpResourcesTool", "Monitor", "MultiEdit", "NotebookEdit", "NotebookRead", "PowerShell", "Read", "ReadMcpResourceTool",
    "ScheduleWakeup", "SendMessage", "Skill", "StructuredOutput", "Task", "TaskCreate", "TaskGet", "TaskList",
    "TaskOutput", "TaskStop", "TaskUpdate", "TeamCreate", "TeamDelete", "TodoWrite", "ToolSearch", "WebFetch", "WebSearch",
    "Workflow", "Write",
)  # fmt: skip
_BY_LABEL: Final = {normalize(name): name for name in CLIENT_TOOLS}


def tool_name(label: str) -> str:
    """Return the client's name of a tool; the label itself if it is none of the client's own tools.

    >>> tool_name("webfetch"), tool_name("mcp__github__get_issue")
    ('WebFetch', 'mcp__github__get_issue')
    """
    return _BY_LABEL.get(label, label)


def shown(group: str, value: str) -> str:
    """Return the value of a group of a breakdown as people read it."""
    return tool_name(value) if group == "tool" else value
