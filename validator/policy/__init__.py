"""The `ModelValidation` document: one schema for the resource, the file and the environment.

Read by every program of this project. It imports nothing above it: no cryptography, no
verification, no cluster.
"""
