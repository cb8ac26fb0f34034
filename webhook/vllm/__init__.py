"""The paths that a container's command line and environment make vLLM open.

Pure. Belongs here: reading command lines as vLLM reads them, and judging what they open.
"""
