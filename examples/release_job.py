"""A CI job beside Claude Code: its steps are tasks and spans, its checks counters, under the same labels as the sessions.

python examples/release_job.py
"""

from __future__ import annotations

from claude_monitoring import AgentMonitor, track_performance, track_task

monitor = AgentMonitor(agent_id="release-bot", project_name="book-cataloger", sprint="6B")


@track_performance(monitor=monitor)
def lint(files: list[str]) -> list[str]:
    """The files that are in order."""
    return [name for name in files if name.endswith(".py")]


@track_task(monitor=monitor, task_type="feature", complexity=3)
def release(version: str) -> str:
    """Builds and publishes; each part is a span inside the task."""
    with monitor.span("build"):
        artifact = f"book-cataloger-{version}.whl"
    with monitor.span("publish"):
        monitor.increment("artifacts_published")
    return artifact


def main() -> None:
    """Runs the job."""
    good = lint(["catalog.py", "isbn.py", "notes.txt"])
    monitor.gauge("lint_clean_files", len(good))
    print(release("1.4.0"))
    try:
        with monitor.track_task("Announce"):
            raise ConnectionError("the chat server is away")
    except ConnectionError:
        print("announcing failed; it is recorded, and the job goes on")


if __name__ == "__main__":
    main()
