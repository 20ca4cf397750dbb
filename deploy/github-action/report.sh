#!/usr/bin/env bash
# Delivers what was captured, writes the job summary and the outputs. A failure is a warning: telemetry never fails the job.
set -uo pipefail
folder=$RUNNER_TEMP/claude-hooks-otel
python=$folder/venv/bin/python
[ -x "$python" ] || python=python3
quietly() { # quietly PROBLEM COMMAND…: the runner takes no commands from what it prints
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  echo "::stop-commands::$token"
  "${@:2}" 2>&1
  status=$?
  echo "::$token::"
  [ "$status" -eq 0 ] || echo "::warning title=claude-hooks-otel::$1"
}
quietly "The telemetry of this job is not delivered completely." \
  timeout "$((FLUSH_TIMEOUT + 30))" "$folder/venv/bin/claude-hooks-otel" flush --timeout "$FLUSH_TIMEOUT"
quietly "The summary of this job cannot be written." "$python" "$ACTION_PATH/deploy/github-action/report.py" "$folder"
exit 0
