"""A real private Sigstore: Fulcio, Rekor v2 and the timestamp authority, built from their modules.

What belongs here: the programs (`tools`), their start (`services`), what they need of others: an
identity provider and a certificate transparency log (`neighbours`), and the verdicts about what
`model_signing` signs with them. What does not: the Sigstore of all other tests, which can lie
(`tests.sigstore`); a test here shows that its checkpoints satisfy Rekor's own client.

The programs listen on every address for their metrics, one of them on a port that cannot be
chosen. So the lane runs in a network of its own, which has a loopback device and nothing else.
"""
