"""All that this project knows of vLLM, in one place for both sides.

Belongs here: the options and variables of each known release (`releases`), what each of
them opens (`option_kinds`, `variable_kinds`), all of it read together (`options`), facts of
how vLLM reads values (`facts`), and the check that runs inside vLLM (`plugin`). The webhook
imports all but the last. Does not belong here: pods, verification, and
anything of vLLM at import time.
"""
