"""The containers that the webhook puts into a pod: the gate, and the monitor if one is asked for.

Belongs here: how they are written, every field that the API server would default included, and
what of them other webhooks may change. Where they stand among the others is `mutation`'s business.
"""
