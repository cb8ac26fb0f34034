//go:build tools

// Package tools pins the enforcer of NetworkPolicies.
package tools

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
