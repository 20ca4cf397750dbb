// The commands that the proofs run, by version; build.py builds them.
module claude-hooks-otel-rig/prometheus

go 1.26.0

require (
	github.com/prometheus/alertmanager v0.33.0 // indirect
	github.com/prometheus/prometheus v0.313.5 // indirect
)
