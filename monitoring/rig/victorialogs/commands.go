//go:build tools

// Package tools pins the commands that build.py builds.
package tools

import (
	_ "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs"
)
