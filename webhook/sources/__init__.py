"""The policies, namespaces and cluster-scoped objects that the webhook knows, and their sources.

Sources are a directory (`directory`) and the API server (`cluster`); `store` is what they share,
within the bounds of `holdings`. `cluster_objects` holds the cluster-scoped objects, and
`cluster_watch` follows them.
"""
