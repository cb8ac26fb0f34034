//go:build tools

// Package tools pins, through go.mod and go.sum, the API server of one release of Kubernetes.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
