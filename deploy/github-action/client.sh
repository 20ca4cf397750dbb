#!/usr/bin/env bash
# Installs Claude Code for this job.
set -euo pipefail
folder=$RUNNER_TEMP/claude-code
npm install --silent --no-audit --no-fund --prefix "$folder" "@anthropic-ai/claude-code@$CLIENT_VERSION"
printf '%s\n' "$folder/node_modules/.bin" >>"$GITHUB_PATH"
