"""The API server's adapter, and what every process in a cluster needs beside it.

Belongs here: access and credentials, requests, their errors, following a collection, probes, and
the form of the log. Does not belong here: what the answers mean. The certificates' program imports
this room and nothing else of the webhook, so nothing here may import the rest of it.
"""
