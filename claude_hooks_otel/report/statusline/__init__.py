"""The status line. The client runs it after every answer, so nothing here imports more than ``json`` and ``sqlite3``."""
