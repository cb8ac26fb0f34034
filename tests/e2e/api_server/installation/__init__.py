"""The manifests, applied to a real API server and taken off again."""
