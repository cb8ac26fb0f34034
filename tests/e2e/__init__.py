"""The lanes against the real other side: an API server, a node, the LLM stack, the images."""
