"""The other side in whole: a Kubernetes with one real node, in namespaces of its own.

What belongs here: making the machine (network, mounts, processes), the images that it needs,
starting every program of a cluster in it, and the scenarios that run there.
`python -m tests.e2e.node`
runs one to look at; tests join it with `MODEL_VALIDATION_NODE`.
"""
