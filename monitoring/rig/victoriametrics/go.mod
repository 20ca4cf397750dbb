// The commands that the tests run, by version; build.py builds them.
module claude-hooks-otel-rig/victoriametrics

go 1.26.6

require github.com/VictoriaMetrics/VictoriaMetrics v1.151.0 // indirect
