"""One module for each way of signing: what it verifies, and against which trust anchor."""
