"""The `ModelValidation` document: one schema for the resource, the file and the environment.

Read by every program of this project. It imports nothing above it: no cryptography, no
verification, no cluster.

`document` is the policy, with its parts in `signers`, `volumes` and `workload`. What counts beside
it is in `trust_root`, `exemption` and `cluster_rules`. `schema` is the language that all of them
are written in. `files` reads them from files, and `crd` prints their definitions.
"""
