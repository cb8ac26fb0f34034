//go:build tools

// Package main pins, through go.mod and go.sum, the services of a real private Sigstore.
package main

import (
	_ "github.com/sigstore/fulcio"
	_ "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"
	_ "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server"
)
