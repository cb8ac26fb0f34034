"""`workload.arguments: Strict`: a pod in which nothing but the verified model is served.

Everything is on a list, with the reason why it is harmless; what is on none is refused
with its path. Belongs here: the lists of a pod's fields (`fields`) and of variables
(`variables`), the demands on the container that serves (`container`, `arguments`), on
images (`images`) and on ports (`ports`). Does not belong here: which containers see the
model, and what vLLM's arguments open, which `webhook.vllm.check` says.

docs/strict.md says what all of it promises.
"""
