#!/usr/bin/env bash
# Runs Claude Code with the prompt. Its exit code is that of the step. The client and its tools may print anything, so the runner takes no
# commands from what they print.
set -uo pipefail
folder=$RUNNER_TEMP/claude-hooks-otel
mkdir -p "$folder"
rm -f "$folder/result.json"
date +%Y-%m-%dT%H:%M:%S%z >"$folder/began"
arguments=()
while IFS= read -r line; do
  [ -z "$line" ] || arguments+=("$line")
done < <(printf "%s\n" "${ARGUMENTS:-}")
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
# The prompt comes from standard input: one that begins with a dash is no option, and a long one fits.
printf '%s' "$PROMPT" | env -u PROMPT -u ARGUMENTS claude -p --output-format json "${arguments[@]+"${arguments[@]}"}" >"$folder/result.json"
status=${PIPESTATUS[1]}
cat "$folder/result.json"
echo
echo "::$token::"
exit "$status"
