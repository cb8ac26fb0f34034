"""Verdicts beside those of the reference implementations."""
