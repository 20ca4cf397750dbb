"""Custom exporters: code of others (and some of ours) that gets every measurement, each behind a durable cursor of its own."""
