//go:build tools

// Package tools pins the command that build.py builds.
package tools

import (
	_ "github.com/rhysd/actionlint/cmd/actionlint"
)
