"""The Python SDK for programs that run alongside Claude Code. Users import it as ``claude_monitoring``."""
