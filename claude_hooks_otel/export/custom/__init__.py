"""Custom exporters: code of users, and some of ours, that gets every measurement. Each exporter has a durable cursor."""
