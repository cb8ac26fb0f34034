"""The policies and namespaces that the webhook knows, and which of them a pod gets.

Sources are a directory (`directory`) and the API server (`cluster`); `store` is what they share,
within the bounds of `holdings`.
"""
