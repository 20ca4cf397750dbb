"""A CI job that records its steps as tasks and spans, with the same labels as the sessions of Claude Code.

Run: python examples/release_job.py
"""

from __future__ import annotations

from claude_monitoring import AgentMonitor, track_performance, track_task

monitor = AgentMonitor(agent_id="release-bot", project_name="book-cataloger", sprint="6B")


@track_performance(monitor=monitor)
def lint(files: list[str]) -> list[str]:
    """Return the files that pass."""
    return [name for name in files if name.endswith(".py")]


@track_task(monitor=monitor, task_type="feature", complexity=3)
def release(version: str) -> str:
    """Build and publish. Each step is a span inside the task."""
    with monitor.span("build"):
        artifact = f"book-cataloger-{version}.whl"
    with monitor.span("publish"):
        monitor.increment("artifacts_published")
    return artifact


def main() -> None:
    """Run the job."""
    good = lint(["catalog.py", "isbn.py", "notes.txt"])
    monitor.gauge("lint_clean_files", len(good))
    print(release("1.4.0"))
    try:
        with monitor.track_task("Announce"):
            raise ConnectionError("the chat server is unavailable")
    except ConnectionError:
        print("The announcement failed. That is recorded, and the job continues.")


if __name__ == "__main__":
    main()
