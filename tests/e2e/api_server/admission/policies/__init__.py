"""The manifests' own policies on a real API server: what they refuse, webhook or not."""
