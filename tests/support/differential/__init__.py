"""Generated models, changes of them, and both verifiers' verdicts: for the differential tests."""
