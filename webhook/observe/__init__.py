"""Verdicts as objects: what the gates in all pods have said, by policy.

Belongs here: reading labelled pods, and what is made of them: the status of each
ModelValidation, events, metrics and a page; and the statuses of the cluster's rules and
exemptions. Does not belong here: any decision. A pod is not changed, refused or stopped by what is
found, and the webhook never reads it.

The core is pure: `pod` makes the verdict on one pod, and `status` what is said of one policy, rule
or exemption. `pods` and `policies` hold what is known, within bounds. `events`, `metrics`,
`openreports` and `site`, the page, say it in other ways. Around them stand `controller` and
`cluster_wide`, which follow, `cluster_statuses` and `writer`, which write, and `process`.

A pod's status is foreign text: a report that is not in the form that our gate writes, for this
pod and its policy, proves nothing.
"""
