// The commands that the tests run, by version; build.py builds them.
module claude-hooks-otel-rig/victorialogs

go 1.26.5

require github.com/VictoriaMetrics/VictoriaLogs v1.52.1 // indirect
