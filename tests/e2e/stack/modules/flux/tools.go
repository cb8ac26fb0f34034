//go:build tools

// Package tools pins Flux's controllers: what fetches sources, and what applies them.
package tools

import (
	_ "github.com/fluxcd/kustomize-controller"
	_ "github.com/fluxcd/source-controller"
)
