//go:build tools

// Package tools pins, through go.mod and go.sum, the programs that a person
// handles the manifests with: to check them, and to encrypt their Secrets.
package tools

import (
	_ "filippo.io/age/cmd/age-keygen"
	_ "github.com/getsops/sops/v3/cmd/sops"
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
)
