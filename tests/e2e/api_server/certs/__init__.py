"""`python -m certs` before a real API server."""
