//go:build tools

// Package tools pins, through go.mod and go.sum, the promtool that the alerts are tried with.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
