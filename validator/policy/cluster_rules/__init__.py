"""`ClusterModelValidation`, a rule of the cluster's admin, and what it makes of a policy.

`rule` is the document. `resolution` makes one document of a namespace's policy and the rules that
hold beside it, and `resolved` is that document, which only a gate's environment carries; `settled`
says which of both can change a field of it.
"""
