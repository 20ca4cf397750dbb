"""The Python SDK: what a program beside Claude Code records goes through the same spool; users import ``claude_monitoring``."""
