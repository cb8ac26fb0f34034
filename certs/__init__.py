"""The webhook's certificates: a small authority of its own, and rotation without a gap.

The core is pure, with time as an argument: `certs.issuing` makes keys and
certificates, `certs.flaws` says what is wrong with them, and
`certs.rotation.plan` which single step comes next. All that is remembered lies
in two Secrets and two webhook configurations, so a replica can die anywhere.
Around the core stand the loop (`certs.controller`), the Lease (`certs.leadership`),
and the process (`certs.server`, `certs.cli`). The API server is asked through
`webhook.cluster`, the only room of the webhook that is used here.
"""
