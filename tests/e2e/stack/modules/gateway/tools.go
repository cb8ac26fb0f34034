//go:build tools

// Package tools pins the stack's gateway: what makes Envoy's configuration from HTTPRoutes.
package tools

import _ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
