"""The admission server: gives labelled pods their gate, and refuses those that would go round it.

The core is pure: `webhook.admission.mutation.mutate(pod, policy)` returns a pod, and
`webhook.admission.validation` asks whether mutation would still change anything. Around
it stand thin edges: the HTTPS server, the policies' sources, the command line.
`webhook.cluster` is the only module that talks to the API server.
"""
