"""Compare the wall time of one hook process with that of a bare Python that does nothing.

The benchmark runs both in turns, as the client runs hooks: it starts a process with the payload of a tool call on standard input,
and waits for it to end.

    python -m bench.hook [--runs 300] [--python python3] [--event PostToolUse] [--against EMIT]

With ``--against``, the other side is another version of ``hooks/emit``: ``git show COMMIT:hooks/emit > EMIT``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.support import command_line, compare, recorded_hooks, spread
from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.sources.registration import command
from tests.support.places import EMIT

BAR = 0.6
# The same, within what a busy machine changes.
SAME = 1.1


def main() -> int:
    """Run both in turns and print the comparison."""
    parser = command_line(__doc__)
    parser.add_argument("--runs", type=int, default=300, help="how often to run each")
    parser.add_argument(
        "--python", default=_plain_python(), help="the Python to compare with; not a version manager's shim"
    )
    parser.add_argument("--event", default="PostToolUse", help="the event")
    parser.add_argument("--against", type=Path, help="another version of hooks/emit to compare with")
    options = parser.parse_args()
    payload = sorted((hook.payload for hook in recorded_hooks() if hook.event == options.event), key=len)
    middle = payload[len(payload) // 2]
    with tempfile.TemporaryDirectory(prefix="bench-hook-") as folder:
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": folder,
            "CLAUDE_AGENT_ID": "backend",
            "CLAUDE_PROJECT_DIR": folder,
            "CLAUDE_CODE_SESSION_ID": "0b3d10e2-402a-4910-a312-4016a2375dc4",
        }
        home = Home.from_environment({"HOME": folder})
        home.create()
        home.pid.write_text(f"{os.getpid()}\n")  # a daemon that runs, so that no hook starts one
        sides = {"hook": _hook(options.event, EMIT)}
        if options.against is None:
            sides["python3 -I -S -c pass"] = [options.python, "-I", "-S", "-c", "pass"]
        else:
            sides[str(options.against)] = _hook(options.event, options.against.resolve())
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.runs):
            for name, arguments in sides.items():
                times[name].append(_run(arguments, environ, middle))
        written = len(list((home.spool / "new").iterdir()))
    for name, seconds in times.items():
        print(f"{name}: {spread([second * 1000 for second in seconds], 'ms')}")
    expected = options.runs * (1 if options.against is None else 2)
    print(f"{written} of {expected} events are in the spool")
    hook, other = (statistics.median(times[name]) for name in sides)
    met = compare(hook, other, BAR if options.against is None else SAME)
    return 0 if met and written == expected else 1


def _hook(event: str, emit: Path) -> list[str]:
    return ["/bin/sh", "-c", command(event, f'"{emit}"')]


def _run(arguments: list[str], environ: dict[str, str], payload: bytes) -> float:
    began = time.perf_counter()
    subprocess.run(
        arguments, input=payload, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def _plain_python() -> str:
    """Return the path of an interpreter. A version manager's shim is slower and would flatter the hook."""
    return shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin") or sys.executable


if __name__ == "__main__":
    sys.exit(main())
