"""The LLM stack of the manifests, run for real, without a GPU and without a hub.

Belongs here: the stack's programs from a package index (`environments`), their locks
(`locking`), a model small enough to make (`tiny_model`), what is tried on them, and the lane that
runs all of it on a node (`python -m tests.e2e.stack`): the shipped manifests with one test overlay
(`overlay`), a gateway (`envoy`), an enforcer of NetworkPolicies (`enforcing`), a private Sigstore
(`sigstore`) and neighbours. Does not belong here: the node that they run on.
"""
