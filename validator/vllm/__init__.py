"""The check inside vLLM: an independent second line, beside the gate or without Kubernetes.

Belongs here: the plugin that vLLM loads (`plugin`), the guard that it puts before
the engine's arguments are used (`guarding`), what those arguments open
(`openings`), and how a verdict reaches vLLM's other processes (`verdicts`). Does
not belong here: verification, and anything of vLLM at import time.

An import that fails is logged by vLLM and skipped, and then nothing is checked:
so `plugin` imports next to nothing, and all work is done inside `register`.
"""
