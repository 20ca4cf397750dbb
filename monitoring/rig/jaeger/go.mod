// The commands that the tests run, by version; build.py builds them.
module claude-hooks-otel-rig/jaeger

go 1.24.6

require github.com/jaegertracing/jaeger v1.76.0 // indirect
