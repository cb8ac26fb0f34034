"""Other releases of Kubernetes: a Go module for the API server of each."""
