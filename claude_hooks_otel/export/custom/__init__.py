"""Custom exporters: users' code, and some of ours, that gets every measurement. Each has a durable cursor of its own."""
