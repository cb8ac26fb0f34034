"""vLLM's options and variables, read from its source: nothing of vLLM is imported or installed.

Belongs here: names across vLLM's modules (`modules`), the types of its configurations' fields
(`fields`), its own code that makes the parser (`command_line`), and the variables that it reads
(`variables`). Does not belong here: what an option opens; `validator.vllm.kinds` says that.
"""
