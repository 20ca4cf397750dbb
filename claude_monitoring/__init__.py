"""The Python SDK of claude-hooks-otel, under the name its users know: metrics, tasks and errors of programs beside Claude Code.

>>> from claude_monitoring import AgentMonitor
>>> monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
>>> with monitor.track_task("Add API rate limiting", complexity=5):
...     monitor.record_metric("api_calls", 1)
"""

from claude_hooks_otel.sdk.decorators import (
    QualityError,
    QualityWarning,
    track_performance,
    track_quality,
    track_task,
)
from claude_hooks_otel.sdk.monitor import AgentMonitor
from claude_hooks_otel.sdk.names import MisuseError

__all__ = [
    "AgentMonitor",
    "MisuseError",
    "QualityError",
    "QualityWarning",
    "track_performance",
    "track_quality",
    "track_task",
]
