"""The plugin that vLLM loads: it verifies before the engine opens anything of the model.

The only package that imports vLLM, and only from functions.
"""
