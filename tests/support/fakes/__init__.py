"""The other sides that tests fake: API servers, clusters, vLLM, platforms, storage."""
