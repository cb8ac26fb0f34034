"""A private Sigstore in this process: the other side of a keyless signature, ours to bend.

What belongs here: a certificate authority with its transparency log (`authority`),
a signature log (`log`), an identity provider (`tokens`), a timestamp authority
(`timestamps`), the HTTP front through which real signers reach them (`service`),
the documents by which verifiers trust them (`trust`), the whole (`private`), and
the ways in which it can be made to lie (`attacks`).

It is honest towards real clients, and checked against them: `model_signing` signs
with it, sigstore-python verifies what it made. What does not belong here:
anything that knows the validator under test, or that needs pytest (only
`fixtures` and the tests do); the demo uses it too.

    with PrivateSigstore.start() as sigstore:
        sigstore.sign_model(model, signature, identity=Identity("alice@example.com"))
        bundle = sigstore.sign_statement(statement, log=sigstore.log.impersonated())
"""

from tests.sigstore.authority import Identity, LeafProfile
from tests.sigstore.private import PrivateSigstore

__all__ = ["Identity", "LeafProfile", "PrivateSigstore"]
