"""One program of the stack by itself, as the manifests configure it."""
