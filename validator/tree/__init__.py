"""A model's files: listed, held to their volume, and hashed.

Steps 8 and 9 of the verification. Nothing here knows signatures or policies.
"""
