"""The demo: the main job from end to end, on one machine, without a cluster, root or a GPU.

What belongs here plays the other side (a signer, an API server, a kubelet, an
attacker) and shows what happened. Everything that decides is the project's own,
started as its users start it. `python -m tests.demo` runs it.
"""
