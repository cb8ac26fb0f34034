"""What rules of the cluster demand of a signature, beside the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import NOW, Party
from tests.support.signed_model import Signer, statement
from validator.errors import RuleError, SignatureError
from validator.verification import Demand, Memory, verify

if TYPE_CHECKING:
    from tests.support.signed_model import Site

PIN = "sha256:" + "0" * 64


def demand(*signers: Signer, name: str = "company", digests: tuple[str, ...] = ()) -> Demand:
    """Return the demand of a rule that accepts signers."""
    return Demand(
        name=f"ClusterModelValidation '{name}'",
        verifiers=tuple(signer.verifier for signer in signers),
        digests=digests,
    )


def refusal(site: Site, *demands: Demand) -> str:
    """Return the sentence by which demands refuse what the policy accepts."""
    assert verify(site.request(), now=NOW)
    with pytest.raises(RuleError) as caught:
        verify(site.request(also=demands), now=NOW)
    assert caught.value.code == "ClusterRule"
    return str(caught.value)


def test_one_signature_meets_both(site: Site) -> None:
    """The signer is accepted by the policy, and is one of the rule's."""
    report = verify(site.request(also=(demand(Signer(), site.signer),)), now=NOW)
    assert report.digest is not None
    pinned = demand(site.signer, digests=(PIN, f"sha256:{report.digest}"))
    by_statement = demand(site.signer, digests=(f"statement:sha256:{report.statement_digest}",))
    assert verify(site.request(also=(pinned, by_statement)), now=NOW)


def test_a_signer_whom_the_rule_does_not_accept(site: Site) -> None:
    """The sentence names the rule, and says what it says of the signer."""
    signer = Signer()
    said = refusal(site, demand(signer))
    assert said.startswith(
        "the policy accepts the signature, and the ClusterModelValidation 'company'"
    )
    assert said.endswith(f"and '{signer.verifier.fingerprint}' is accepted")


def test_a_method_that_the_rule_does_not_accept(site: Site) -> None:
    """A rule on certificates is not met by a key."""
    rule = Demand(name="rule", verifiers=(Party.root().verifier,))
    assert "the accepted signers sign with a certificate" in refusal(site, rule)


def test_a_model_that_the_rule_does_not_pin(site: Site) -> None:
    """Its signer is the right one."""
    assert "not the pinned one" in refusal(site, demand(site.signer, digests=(PIN,)))


def test_all_rules_hold(site: Site) -> None:
    """Whichever of them refuses, and wherever it stands."""
    good, bad = demand(site.signer, name="good"), demand(Signer(), name="bad")
    for demands in ((good, bad), (bad, good)):
        assert "'bad'" in refusal(site, *demands)


def test_what_the_policy_refuses_is_its_own_refusal(site: Site) -> None:
    """A rule that accepts the signer does not help."""
    with pytest.raises(SignatureError):
        verify(site.request(verifiers=(Signer().verifier,), also=(demand(site.signer),)), now=NOW)


def test_a_signature_that_is_exchanged_under_the_monitor(site: Site) -> None:
    """By one of another signer, whom the policy accepts as well and the rule does not."""
    other = Signer()
    both = (site.signer.verifier, other.verifier)
    request = site.request(verifiers=both, also=(demand(site.signer),))
    memory = Memory()
    assert verify(request, now=NOW, memory=memory)
    site.signature.write_bytes(other.bundle(statement()))
    with pytest.raises(RuleError):
        verify(request, now=NOW, memory=memory)
