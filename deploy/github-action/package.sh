#!/usr/bin/env bash
# Installs claude-hooks-otel into an environment of its own. A failure is a warning: telemetry never fails the job.
set -uo pipefail
folder=$RUNNER_TEMP/claude-hooks-otel
source=$ACTION_PATH
[ -z "$PACKAGE_VERSION" ] || source=claude-hooks-otel==$PACKAGE_VERSION
if "$PYTHON" -m venv "$folder/venv" &&
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$source"; then
  echo "installed=true" >>"$GITHUB_OUTPUT"
  printf '%s\n' "$folder/venv/bin" >>"$GITHUB_PATH" # for `claude-hooks-otel` in later steps
else
  echo "::warning title=claude-hooks-otel::The package cannot be installed. This job has no telemetry."
fi
exit 0
