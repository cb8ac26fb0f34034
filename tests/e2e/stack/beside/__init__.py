"""The programs beside the stack: gateway, Flux, collector, Sigstore, browser."""
