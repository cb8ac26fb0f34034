"""The webhook's certificates: a small authority of its own, and what it issues.

`certs.issuing` is pure: keys and certificates as values, time as an argument.
"""
