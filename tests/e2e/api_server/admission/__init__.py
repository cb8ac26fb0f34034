"""Our webhook before a real API server: what is admitted, changed and refused."""
