"""The statuses, computed from what is known.

Pure. `policy` makes the status of one policy, as it is `in_force` beside roots and rules, and
`cluster` that of a rule or an exemption; `conditions` are what they have in common.
"""
