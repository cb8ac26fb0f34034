//go:build tools

// Package tools pins, through go.mod and go.sum, the Helm that the chart is tried with.
package tools

import _ "helm.sh/helm/v4/cmd/helm"
