#!/bin/sh
# Run by `devcontainer features test` in a container with the feature and its default options.
set -eu
claude-hooks-otel --version
test -r /opt/claude-hooks-otel/share/claude-hooks-otel/emit
claude-hooks-otel doctor --json | tr -d ' \n' | grep -q '"step":"hooks","level":"ok","observed":"managedsettings:'
claude-hooks-otel doctor --json | tr -d ' \n' | grep -q '"step":"capture","level":"ok"'
echo "claude-hooks-otel works"
