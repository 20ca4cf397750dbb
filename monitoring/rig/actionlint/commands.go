//go:build commands

// Package commands keeps the module in go.mod. Nothing compiles it.
package commands

import _ "github.com/rhysd/actionlint/cmd/actionlint"
