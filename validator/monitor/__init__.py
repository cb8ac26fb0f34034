"""Verification again and again, while a model is served.

Belongs here: the loop, the rate at which it reads, and the status that probes read. Does not
belong here: the `monitor` subcommand, which is `validator.cli.monitor`.
"""
