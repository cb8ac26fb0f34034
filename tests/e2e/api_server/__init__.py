"""The other side: a real etcd, kube-apiserver and kubectl, and what tests do with them.

What belongs here: building those programs, starting and stopping them, registering webhooks with
them, and the manifests that tests send. Nothing of ours is imported or replaced.
"""
