"""The Python SDK of claude-hooks-otel: metrics, tasks, spans and errors of programs that run alongside Claude Code.

>>> from claude_monitoring import AgentMonitor
>>> monitor = AgentMonitor(agent_id="backend", project_name="book-cataloger")
>>> with monitor.track_task("Add API rate limiting", complexity=5):
...     monitor.record_metric("api_calls", 1)
"""

from claude_hooks_otel.sdk.decorators import track_performance, track_quality, track_task
from claude_hooks_otel.sdk.monitor import AgentMonitor
from claude_hooks_otel.sdk.names import MisuseError
from claude_hooks_otel.sdk.observers import QualityError, QualityWarning

__all__ = [
    "AgentMonitor",
    "MisuseError",
    "QualityError",
    "QualityWarning",
    "track_performance",
    "track_quality",
    "track_task",
]
