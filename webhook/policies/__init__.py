"""The objects that decide about a pod, as the webhook reads them, and the policy that a pod gets.

Pure. `choice` chooses among a namespace's policies, `resolution` adds the rules of the cluster that
hold there, and `exempted` finds the exemption of a pod. `cluster_rules`, `trust_roots` and
`exemptions` read the cluster-scoped objects, `objects` a namespace's policies and the namespace
itself: each is usable, or broken with a reason. Does not belong here: where the objects come from
(`webhook.sources`).
"""
