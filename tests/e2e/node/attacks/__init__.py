"""Attacks and failures on a real node: none leads past the gate."""
