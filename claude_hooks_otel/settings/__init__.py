"""What the owner can set: one TOML file, a few variables over it, and OpenTelemetry's own variables."""
