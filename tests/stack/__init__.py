"""The LLM stack of the manifests, run for real, without a GPU and without a hub.

Belongs here: the stack's programs from a package index (`environments`), their locks
(`locking`), a model small enough to make (`tiny_model`), and what is tried on them. Does not
belong here: the cluster that they run in.
"""
