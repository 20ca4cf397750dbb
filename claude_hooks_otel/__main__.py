"""``python -m claude_hooks_otel`` is ``claude-hooks-otel``."""

from claude_hooks_otel.cli import main

if __name__ == "__main__":
    main()
