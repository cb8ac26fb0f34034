"""Roots of trust as objects of their own, and the policies that name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.policies import KEY, policy_document
from validator import contract
from validator.cli import injected
from validator.errors import PolicyError
from validator.from_policy import verifiers
from validator.policy import trust_root
from validator.policy.document import ModelValidation
from validator.policy.files import read_policy
from validator.policy.trust_root import TrustRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.policy.document import ModelValidation as Policy

KEYLESS = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://example.com"}
REFERENCE = {"trustRootRef": {"name": "corp"}}
HELD = {"trustedRoot": "{}", "certificateAuthorities": "PEM of authorities", "publicKey": KEY}
NAMING: dict[str, dict[str, Any]] = {
    "publicKey": {"config": {"privateKeyConfig": REFERENCE}},
    "certificateAuthorities": {"config": {"pkiConfig": REFERENCE | {"certificateIdentity": "ci"}}},
    "trustedRoot": {"config": {"sigstoreConfig": KEYLESS}, "trust": REFERENCE},
}
"""Policies by what they need of the root that they name."""

SHOWN = {
    "trustedRoot": "a Sigstore trusted root (trustedRoot)",
    "certificateAuthorities": "certificate authorities (certificateAuthorities)",
    "publicKey": "a public key (publicKey)",
}


def root_document(name: str = "corp", *, generation: int | None = None, **spec: str) -> Any:
    """Return a root as people write it; without `spec`, one that holds a key."""
    state = {} if generation is None else {"generation": generation, "uid": "u"}
    return {
        "apiVersion": contract.API_VERSION,
        "kind": "TrustRoot",
        "metadata": {"name": name} | state,
        "spec": spec or {"publicKey": KEY},
    }


def parsed(**changes: Any) -> Policy:
    """Return a policy."""
    return ModelValidation.from_object(policy_document(**changes), source="p")


def names(policy: Policy) -> tuple[str, ...]:
    """Return the names of the roots that a policy names."""
    found = trust_root.names(policy.spec.config, policy.spec.trust)
    assert trust_root.names_one(policy.spec.config, policy.spec.trust) is bool(found)
    return found


def holding(**spec: str) -> Callable[[str], TrustRoot]:
    """Return a function that finds one root under any name."""
    root = TrustRoot.from_object(root_document(generation=3, **spec), source="r")
    return lambda _: root


@pytest.mark.parametrize("needed", HELD)
def test_the_text_of_the_root_takes_the_place_of_its_name(needed: str) -> None:
    """The gate's policy is the one that would have been written with the text itself."""
    named = parsed(**NAMING[needed])
    assert names(named) == ("corp",)
    made = trust_root.resolve(named, holding(**{needed: HELD[needed]}))
    assert names(made) == ()
    inline = json.loads(json.dumps(NAMING[needed]).replace(json.dumps(REFERENCE)[1:-1], '"X": 0'))
    text = json.dumps(inline).replace('"X": 0', f'"{needed}": {json.dumps(HELD[needed])}')
    assert made.spec == parsed(**json.loads(text)).spec


@pytest.mark.parametrize("needed", HELD)
@pytest.mark.parametrize("given", HELD)
def test_a_root_of_another_kind_is_refused(needed: str, given: str) -> None:
    """With what is needed, what is there, and where."""
    named, find = parsed(**NAMING[needed]), holding(**{given: HELD[given]})
    (reference,) = trust_root.references(named.spec.config, named.spec.trust)
    if given == needed:
        trust_root.resolve(named, find)
        trust_root.found(reference, find)
        return
    with pytest.raises(PolicyError) as caught:
        trust_root.resolve(named, find)
    said = str(caught.value)
    assert "trustRootRef: the TrustRoot 'corp' holds " in said
    assert f"holds {SHOWN[given]}, and here it takes {SHOWN[needed]}: name another" in said
    with pytest.raises(PolicyError) as alone:
        trust_root.found(reference, find)
    assert str(alone.value) == said


def test_each_of_several_signers_may_name_one() -> None:
    """The signers that name none stay as they are; each root is looked up and shown once."""
    signers = [
        {"privateKeyConfig": {"trustRootRef": {"name": "one"}}},
        {"publicKeyConfig": {"trustRootRef": {"name": "two"}}},
        {"privateKeyConfig": {"trustRootRef": {"name": "one"}}},
        {"sigstoreConfig": KEYLESS},
    ]
    roots = {
        name: TrustRoot.from_object(root_document(name, generation=n, publicKey=name), source="r")
        for n, name in enumerate(("one", "two"), 1)
    }
    named = parsed(config={"anyOf": signers})
    assert names(named) == ("one", "two")
    made = trust_root.resolve(named, roots.__getitem__)
    assert names(made) == ()
    keys = [getattr(each.method, "public_key", None) for each in made.spec.config.signers]
    assert keys == ["one", "two", "one", None]
    assert injected.context(made)["trustRoots"] == ["one/1", "two/2"]


def test_a_renewal_is_seen_in_the_gates_document_and_report() -> None:
    """Also where only the root's generation has changed."""
    named = parsed(**NAMING["publicKey"])
    texts = set()
    for generation in (1, 2):
        root = TrustRoot.from_object(root_document(generation=generation), source="r")
        made = trust_root.resolve(named, lambda _, root=root: root)  # type: ignore[misc]
        text = made.to_environment()
        assert ModelValidation.from_environment(text) == made
        assert injected.context(made)["trustRoots"] == [f"corp/{generation}"]
        texts.add(text)
    assert len(texts) == 2
    assert "trustRoots" not in injected.context(parsed())
    assert "resolved" not in parsed().to_environment()


def test_a_policy_that_names_none_is_the_same_object() -> None:
    """No root is looked up for it."""
    plain = parsed()
    assert trust_root.resolve(plain, pytest.fail) is plain


def test_a_file_has_the_roots_beside_the_policy() -> None:
    """In any order, among others."""
    key = (KEY,)
    documents = [root_document("other"), policy_document(**NAMING["publicKey"]), root_document()]
    read = read_policy(yaml.safe_dump_all(documents).encode(), source="p.yaml")
    assert read.spec.config.private_key_config is not None
    assert (read.spec.config.private_key_config.public_key,) == key
    assert injected.context(read)["trustRoots"] == ["corp"]


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ([], "p.yaml: ModelValidation team/granite: privateKeyConfig.trustRootRef: the TrustRoot"),
        ([root_document(), root_document()], "p.yaml: the TrustRoot 'corp' is there twice: keep"),
        ([root_document(publicKey="")], "p.yaml: spec.publicKey: expected `str` of length >= 1"),
        (
            [root_document(publicKey="k", trustedRoot="{}")],
            "p.yaml: spec: spec holds no root or several: set exactly one of trustedRoot",
        ),
        ([root_document(publickey="k")], "publicKey was probably meant"),
        ([{"kind": "TrustRoot"}], "p.yaml: object missing required field"),
    ],
)
def test_a_root_that_cannot_be_used_is_one_sentence(roots: list[Any], said: str) -> None:
    """With the file's name, and what to do."""
    documents = [policy_document(**NAMING["publicKey"]), *roots]
    with pytest.raises(PolicyError) as caught:
        read_policy(yaml.safe_dump_all(documents).encode(), source="p.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize("needed", HELD)
def test_what_was_not_resolved_verifies_nothing(needed: str) -> None:
    """A gate that gets a name in place of a root refuses."""
    with pytest.raises(PolicyError, match="names the TrustRoot 'corp', which is not here"):
        verifiers(parsed(**NAMING[needed]))
