#!/bin/sh
# Installs claude-hooks-otel for every user of the container, and registers its hooks in the managed settings of Claude Code. Root runs it
# while the image is built. The options come as variables (Dev Container Features reference, "Option resolution").
set -eu
prefix=/opt/claude-hooks-otel
settings=/etc/claude-code/managed-settings.d/50-claude-hooks-otel.json

version=${VERSION:-latest}
case $version in
latest) package=claude-hooks-otel ;;
[0-9]*) package=claude-hooks-otel==$version ;;
*) package=$version ;;
esac

has_python() {
  python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}
if ! has_python; then
  if command -v apt-get >/dev/null; then
    apt-get update -y
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv ca-certificates
    rm -rf /var/lib/apt/lists/*
  elif command -v apk >/dev/null; then
    apk add --no-cache python3
  elif command -v dnf >/dev/null; then
    dnf install -y python3
  fi
fi
if ! has_python; then
  echo "claude-hooks-otel needs Python 3.11 or later. Add the feature ghcr.io/devcontainers/features/python." >&2
  exit 1
fi

python3 -m venv "$prefix"
"$prefix/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check "$package"
mkdir -p /usr/local/bin
ln -sf "$prefix/bin/claude-hooks-otel" /usr/local/bin/claude-hooks-otel

set -- --events "${REGISTRATION:-full}"
[ -z "${AGENT:-}" ] || set -- "$@" --agent "$AGENT"
[ -z "${TEAM:-}" ] || set -- "$@" --team "$TEAM"
[ -z "${ENDPOINT:-}" ] || set -- "$@" --endpoint "$ENDPOINT"
[ "${PROTOCOL:-auto}" = auto ] || set -- "$@" --protocol "$PROTOCOL"
mkdir -p "${settings%/*}"
chmod 755 "${settings%/*}" "${settings%/*/*}"
"$prefix/bin/claude-hooks-otel" managed-settings "$@" "$settings"
