"""cert-manager itself beside our overlay for it: `make e2e-cert-manager`."""
