"""The admission server: it gives labelled pods a gate, and refuses pods that would bypass it.

The core is pure: `webhook.admission.mutation.mutate(pod, policy)` returns a pod, and
`webhook.admission.validation` asks whether mutation would still change anything. Around
it stand thin edges: the HTTPS server, the policies' sources, the command line.
`webhook.cluster` is the only room that talks to the API server.
"""
