"""The spool: one file an event, written by hooks and the SDK, read by the daemon; it keeps everything while nothing runs."""
