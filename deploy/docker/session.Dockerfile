# An image for sessions whose events another container reads. It needs one file of claude-hooks-otel and no Python.
ARG BASE=docker.io/library/node:22-bookworm-slim
ARG TELEMETRY=claude-hooks-otel

FROM ${TELEMETRY} AS telemetry
RUN mkdir -p /tmp/claude-code && claude-hooks-otel managed-settings /tmp/claude-code/managed-settings.json

FROM ${BASE}
# Here, or in the image that you have: Claude Code, git and the tools of your project.
COPY --from=telemetry /opt/claude-hooks-otel/share/claude-hooks-otel/emit /opt/claude-hooks-otel/share/claude-hooks-otel/emit
COPY --from=telemetry /tmp/claude-code/managed-settings.json /etc/claude-code/managed-settings.json
