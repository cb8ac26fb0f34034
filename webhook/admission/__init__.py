"""From a review to its answer: pure functions of pod, policy and settings.

Belongs here: what a pod with a gate looks like, and why a pod is refused. Does not belong here:
HTTP, the API server, logs; and what vLLM's options mean, which is `webhook.vllm`.
"""
