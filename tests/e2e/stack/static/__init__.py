"""The stack's manifests, checked without a node."""
