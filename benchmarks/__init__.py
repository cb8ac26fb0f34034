"""The cost of verification, side by side with the reference and with a floor; see README.md."""
