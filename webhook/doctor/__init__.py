"""The examination of an installation: is everything there, and right?

Belongs here: reading what is installed, comparing it with what this release installs, and
one sentence for each difference, with its remedy. It changes nothing in the cluster.

A check is an async generator of `Finding`s. One that may not read something raises the API
server's error, and `examination` makes a finding of it.
"""
