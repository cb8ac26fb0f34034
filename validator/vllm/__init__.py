"""All that this project knows of vLLM, in one place for both sides.

Belongs here: the table of options and variables (`options`, `options.json`), facts
of how vLLM reads values (`facts`), and the check that runs inside vLLM (`plugin`).
The webhook imports the first two. Does not belong here: pods, verification, and
anything of vLLM at import time.
"""
