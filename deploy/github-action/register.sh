#!/usr/bin/env bash
# Registers the hooks in the settings of the runner's user. A failure is a warning: telemetry never fails the job.
set -uo pipefail
options=(--agent "$AGENT")
[ -z "$PROJECT" ] || options+=(--project "$PROJECT")
[ -z "$TEAM" ] || options+=(--team "$TEAM")
if [ -n "$ENDPOINT" ]; then
  options+=(--endpoint "$ENDPOINT")
  [ -z "$PROTOCOL" ] || options+=(--protocol "$PROTOCOL")
  [ -z "$HEADERS" ] || export OTEL_EXPORTER_OTLP_HEADERS=$HEADERS
  export OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=$TEMPORALITY
  attributes=${OTEL_RESOURCE_ATTRIBUTES:-}
  [ -z "$INSTANCE" ] || export OTEL_RESOURCE_ATTRIBUTES=${attributes:+$attributes,}service.instance.id=$INSTANCE
fi
"$RUNNER_TEMP/claude-hooks-otel/venv/bin/claude-hooks-otel" install "${options[@]}" </dev/null ||
  echo "::warning title=claude-hooks-otel::The hooks cannot be registered. This job has no telemetry."
exit 0
