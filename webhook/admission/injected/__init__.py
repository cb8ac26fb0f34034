"""The webhook's additions to a pod: the gate, the monitor if one is asked for, restart rules.

Belongs here: how they are written, every field that the API server would default included, and
what of them other webhooks may change. Where containers stand is `mutation`'s business.
"""
