"""The parts of `scripts/remove_steps.py`, which takes each refusal out of the code.

Belongs here: where refusals stand (`refusals`), what the copied tree gets to take one out
(`hook`), and the plugin of pytest that does so for one after another (`forks`).
"""
