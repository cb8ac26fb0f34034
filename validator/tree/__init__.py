"""A model's files: listed, held to their volume, and hashed.

Steps 7 and 8 of the verification. Nothing here knows signatures or policies.
"""
