"""A namespace's policy and the cluster's rules as one document: who wins, field by field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support.cluster_rules import rule
from tests.support.policies import KEY, policy_document
from validator import contract
from validator.cli import injected
from validator.errors import PolicyError, RuleError
from validator.from_policy import requests
from validator.policy import trust_root
from validator.policy.cluster_rules.resolution import resolve, stand_in
from validator.policy.cluster_rules.resolved import RULES_LIMIT, ResolvedPolicy
from validator.policy.document import ModelValidation
from validator.policy.trust_root import TrustRoot

if TYPE_CHECKING:
    from validator.policy.cluster_rules.rule import ClusterModelValidation

DIGEST, OTHER = (f"sha256:{digit * 64}" for digit in "01")
IMAGE = f"registry.example/vllm@{DIGEST}"
CLAIM = {"persistentVolumeClaim": {"claimName": "models"}}


def policy(*, model: dict[str, Any] | None = None, **spec: Any) -> ModelValidation:
    """Return a namespace's policy."""
    return ModelValidation.from_object(policy_document(model=model, **spec), source="policy.yaml")


def resolved(made: ModelValidation, *rules: ClusterModelValidation) -> ResolvedPolicy:
    """Return both as one document."""
    found = resolve(made, rules)
    assert isinstance(found, ResolvedPolicy)
    return found


def test_without_a_rule_the_policy_stays_as_it_is() -> None:
    """To the byte: the gates of all pods would be others."""
    made = policy()
    assert resolve(made, ()) is made


TABLE: dict[str, list[tuple[Any, Any, Any]]] = {
    "mode": [
        ("Audit", "Audit", "Audit"),
        ("Audit", "Enforce", "Enforce"),
        ("Enforce", "Audit", "Enforce"),
    ],
    "allowPrivileged": [
        (True, True, True),
        (True, False, False),
        (False, True, False),
    ],
    "allowPodTrustAnchors": [
        (True, True, True),
        (True, False, False),
        (False, True, False),
    ],
    "onRestart": [
        ("Keep", "Verify", "Verify"),
        ("Verify", "Keep", "Verify"),
        ("Keep", "Keep", "Keep"),
        ("Keep", None, "Keep"),
        (None, "Keep", None),
        (None, "Verify", "Verify"),
        ("Verify", None, "Verify"),
    ],
    "revalidation": [
        (None, None, None),
        ({"interval": "2h"}, None, {"interval": "2h"}),
        (None, {"interval": "2h"}, {"interval": "2h"}),
        (
            {"interval": "10m", "action": "Report", "bytesPerSecond": "1Mi"},
            {"interval": "1h", "action": "Stop", "bytesPerSecond": "1M"},
            {"interval": "10m", "action": "Stop", "bytesPerSecond": "1Mi"},
        ),
        (
            {"interval": "90s", "action": "Unready"},
            {"interval": "1m", "action": "Report"},
            {"interval": "1m", "action": "Unready"},
        ),
    ],
}
"""By field: the policy's value, the rule's, and what wins."""


def table(field: str) -> list[Any]:
    """Return policy, rule and result of one field, as parameters with names."""
    return [
        pytest.param(ours, theirs, wins, id=f"{field}: {ours} and {theirs}")
        for ours, theirs, wins in TABLE[field]
    ]


@pytest.mark.parametrize("field", ["mode", "allowPrivileged", "allowPodTrustAnchors"])
def test_the_stricter_of_two_values_wins(field: str) -> None:
    """In a policy and a rule, and in two rules."""
    for parameters in table(field):
        ours, theirs, wins = parameters.values
        for made in (
            resolved(policy(**{field: ours}), rule(**{field: theirs})),
            resolved(
                policy(**{field: ours}), rule("a", **{field: theirs}), rule("b", **{field: ours})
            ),
        ):
            assert msgspec.to_builtins(made)["spec"].get(field, made_default(field)) == wins


def made_default(field: str) -> Any:
    """Return what a field says that is not written out."""
    return "Enforce" if field == "mode" else False


@pytest.mark.parametrize(("ours", "theirs", "wins"), table("onRestart"))
def test_a_restart_verifies_where_either_says_so(ours: Any, theirs: Any, wins: Any) -> None:
    """A rule's Keep demands nothing: a policy without a word has the default by version."""
    given_ = {} if ours is None else {"onRestart": ours}
    asked = {} if theirs is None else {"onRestart": theirs}
    assert resolved(policy(**given_), rule(**asked)).spec.on_restart == wins


@pytest.mark.parametrize(("ours", "theirs", "wins"), table("revalidation"))
def test_the_stricter_revalidation_wins_by_field(ours: Any, theirs: Any, wins: Any) -> None:
    """A policy that reads slowly does not make the rule's interval longer."""
    given_ = {} if ours is None else {"revalidation": ours}
    asked = {} if theirs is None else {"revalidation": theirs}
    made = resolved(policy(**given_), rule(**asked)).spec.revalidation
    assert made == (policy(revalidation=wins).spec.revalidation if wins else None)


@pytest.mark.parametrize(
    ("ours", "theirs", "wins"),
    [
        (["a", "b/c", "d"], ["a", "b", "d/e"], {"a", "b/c", "d/e"}),
        (["a"], ["ab"], set()),
        (["a"], [], set()),
        ([], ["a"], set()),
        (["a", "a/b"], ["a"], {"a", "a/b"}),
    ],
)
def test_ignored_is_what_both_ignore(ours: list[str], theirs: list[str], wins: set[str]) -> None:
    """At or below a path of each."""
    made = resolved(policy(model={"ignorePaths": ours}), rule(ignorePaths=theirs))
    (model,) = made.spec.all_models
    assert set(model.ignore_paths) == wins


def test_other_ignores_are_those_of_both() -> None:
    """Git's are by default, unsigned files are not."""
    lax: dict[str, Any] = {"ignoreGitPaths": True, "ignoreUnsignedFiles": True}
    strict: dict[str, Any] = {"ignoreGitPaths": False, "ignoreUnsignedFiles": False}
    none: dict[str, Any] = {}
    for ours, theirs, wins in (
        (lax, lax, (True, True)),
        (lax, strict, (False, False)),
        (strict, lax, (False, False)),
        (lax, none, (True, False)),
    ):
        (model,) = resolved(policy(model=ours), rule(**theirs)).spec.all_models
        assert (model.ignore_git_paths, model.ignore_unsigned_files) == wins


@pytest.mark.parametrize(
    ("ours", "theirs", "wins"),
    [
        pytest.param({}, {}, ("Check", ()), id="nothing"),
        pytest.param({}, {"arguments": "Strict"}, ("Strict", ()), id="strict without images"),
        pytest.param(
            {}, {"arguments": "Strict", "images": [IMAGE]}, ("Strict", (IMAGE,)), id="the rule's"
        ),
        pytest.param(
            {"arguments": "Strict", "images": [IMAGE]}, {}, ("Strict", (IMAGE,)), id="the policy's"
        ),
        pytest.param(
            {"arguments": "Strict", "images": [IMAGE, OTHER]},
            {"images": [DIGEST]},
            ("Strict", (IMAGE,)),
            id="both, and the one with a name",
        ),
        pytest.param(
            {"arguments": "Strict", "images": [DIGEST]},
            {"images": [IMAGE]},
            ("Strict", (IMAGE,)),
            id="both, the other way round",
        ),
        pytest.param(
            {"images": [IMAGE]},
            {"arguments": "Strict", "images": [OTHER]},
            ("Strict", ()),
            id="none",
        ),
        pytest.param(
            {"arguments": "Strict"}, {"images": [IMAGE]}, ("Strict", ()), id="a policy without any"
        ),
        pytest.param(
            {"arguments": "Strict", "images": [IMAGE]},
            {"images": []},
            ("Strict", ()),
            id="no image",
        ),
    ],
)
def test_arguments_and_images(ours: Any, theirs: Any, wins: tuple[str, Any]) -> None:
    """Strict wins, and an image is in all lists that were given."""
    workload = resolved(policy(workload=ours), rule(workload=theirs)).spec.workload
    assert (workload.arguments, workload.images) == wins


def test_csi_drivers_are_those_of_all_lists() -> None:
    """A rule without a list says nothing about them."""
    one, two = ["a.example", "b.example"], ["b.example", "c.example"]
    assert resolved(policy(), rule()).csi_drivers is None
    assert resolved(policy(), rule("a", csiDrivers=one), rule("b")).csi_drivers == tuple(one)
    both = resolved(policy(), rule("a", csiDrivers=one), rule("b", csiDrivers=two))
    assert both.csi_drivers == ("b.example",)


def test_each_rule_is_demanded_by_its_name() -> None:
    """Signers, root and pins, in the order of the names, whichever order the rules came in."""
    trust = {"trustedRoot": "{}"}
    rules = [
        rule("b", metadata={"generation": 3}, digests=[DIGEST]),
        rule("a", trust=trust, config={"privateKeyConfig": {"publicKey": "another"}}),
    ]
    made = resolved(policy(), *rules)
    assert [each.shown for each in made.also_required] == ["a", "b/3"]
    first, second = made.also_required
    assert second.digests == (DIGEST,)
    assert first.trust == rules[1].spec.trust
    assert first.config == rules[1].spec.config
    assert made.spec.config == policy().spec.config
    assert resolved(policy(), *reversed(rules)).to_environment() == made.to_environment()


def naming(name: str) -> dict[str, Any]:
    """Return a key that a TrustRoot holds."""
    return {"privateKeyConfig": {"trustRootRef": {"name": name}}}


def find(name: str) -> TrustRoot:
    """Return a TrustRoot of that name: a key's, or one of Sigstore."""
    document = {
        "apiVersion": contract.API_VERSION,
        "kind": "TrustRoot",
        "metadata": {"name": name},
        "spec": {"trustedRoot": "{}"} if name == "sigstore" else {"publicKey": KEY},
    }
    return TrustRoot.from_object(document, source="root.yaml")


def trusting(**spec: Any) -> ModelValidation:
    """Return a policy with the texts of the roots that it names."""
    return trust_root.resolve(policy(**spec), find)


KEYLESS: dict[str, Any] = {
    "sigstoreConfig": {
        "certificateIdentity": "a@example.com",
        "certificateOidcIssuer": "https://example.com",
    }
}
SIGSTORE = {"trustRootRef": {"name": "sigstore"}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"config": naming("corp")}, None),
        ({"config": KEYLESS, "trust": SIGSTORE}, None),
        ({"config": {"anyOf": [naming("corp"), KEYLESS]}, "trust": SIGSTORE}, None),
        ({"config": naming("mine")}, "names 'mine': name one of those"),
        ({}, "has a key, an authority or a root of its own"),
        ({"config": KEYLESS}, "or Sigstore's public one"),
        ({"config": {"anyOf": [naming("corp"), KEYLESS]}}, "or Sigstore's public one"),
        (
            {"config": {"anyOf": [naming("corp"), {"privateKeyConfig": {"publicKey": KEY}}]}},
            "has a key",
        ),
    ],
)
def test_trust_roots_are_those_of_the_rules_list(spec: Any, said: str | None) -> None:
    """And nothing else vouches for a signer of the policy."""
    made = resolved(trusting(**spec), rule(trustRoots=["corp", "sigstore"]))
    if said is None:
        assert made.conflicts == ()
        return
    (conflict,) = made.conflicts
    assert said in conflict
    with pytest.raises(RuleError, match="allows"):
        requests(made, cover=())


def test_too_many_rules_are_refused() -> None:
    """Each is one more verification of the same signature."""
    with pytest.raises(PolicyError, match="17 ClusterModelValidations hold in the namespace"):
        resolve(policy(), [rule(f"r{number}") for number in range(RULES_LIMIT + 1)])


def test_the_document_is_bounded_with_all_that_is_demanded() -> None:
    """One sentence, with the rules' names, where both together are too long."""
    long = {"trustedRoot": "x" * 49_000}
    made = resolved(policy(trust=long), rule(trust=long))
    with pytest.raises(PolicyError, match="demanded by ClusterModelValidation 'company' is"):
        made.to_environment()


def test_the_gate_reads_what_the_webhook_writes() -> None:
    """From its variable only: a file with such a field is refused."""
    made = resolved(policy(), rule(csiDrivers=["a.example"], digests=[DIGEST]))
    text = made.to_environment()
    read = ResolvedPolicy.from_environment(text)
    assert read == made
    assert read.to_environment() == text
    assert injected.context(read)["clusterRules"] == ["company"]
    for field in ("alsoRequired", "conflicts", "csiDrivers", "ofCluster"):
        document = policy_document() | {field: json.loads(text)[field]}
        with pytest.raises(PolicyError, match=f"unknown field `{field}`"):
            ModelValidation.from_object(document, source="policy.yaml")


def test_a_plain_policy_is_read_by_the_gate_too() -> None:
    """Where no rule holds."""
    read = ResolvedPolicy.from_environment(policy().to_environment())
    assert (read.spec, read.also_required) == (policy().spec, ())
    assert "clusterRules" not in injected.context(read)


def default(**spec: Any) -> ClusterModelValidation:
    """Return a rule that serves namespaces without a policy."""
    made: ClusterModelValidation = rule(
        default=True, model={"path": "/models/granite", "volume": CLAIM}, **spec
    )
    return made


def test_a_rule_stands_in_for_a_policy() -> None:
    """With all that it says, under its own name; other rules hold beside it."""
    spec: dict[str, Any] = {"mode": "Audit", "workload": {"arguments": "Strict", "images": [IMAGE]}}
    made = stand_in(default(**spec, csiDrivers=["a.example"]), [default(**spec), rule("other")])
    assert isinstance(made, ResolvedPolicy)
    assert made.reference == "ClusterModelValidation company"
    assert made.of_cluster
    assert made.spec.mode == "Enforce"  # the other's
    assert made.spec.workload.images == (IMAGE,)
    assert [each.rule for each in made.also_required] == ["other"]
    assert made.csi_drivers == ("a.example",)
    (model,) = made.spec.all_models
    assert model.path == "/models/granite"


@pytest.mark.parametrize(
    ("own", "other", "wins"),
    [
        ({"arguments": "Strict"}, {"images": [IMAGE]}, ("Strict", (IMAGE,))),
        ({"images": []}, {"arguments": "Strict", "images": [IMAGE]}, ("Strict", ())),
        ({"images": [IMAGE]}, {"arguments": "Strict", "images": [DIGEST]}, ("Strict", (IMAGE,))),
        ({}, {}, ("Check", ())),
    ],
)
def test_its_lists_of_images_are_a_rules(own: Any, other: Any, wins: tuple[str, Any]) -> None:
    """One that is absent says nothing, and an empty one admits no image, whoever says Strict."""
    serving = default(workload=own)
    workload = stand_in(serving, [serving, rule("other", workload=other)]).spec.workload
    assert (workload.arguments, workload.images) == wins


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"config": naming("corp")}, None),
        ({"config": KEYLESS, "trust": SIGSTORE}, None),
        ({"config": naming("mine")}, "ClusterModelValidation company names 'mine'"),
        ({}, "ClusterModelValidation company has a key, an authority or a root of its own"),
    ],
)
def test_its_roots_are_those_of_another_rules_list(spec: Any, said: str | None) -> None:
    """As a policy's are; it is known which of them it names."""
    serving = trust_root.resolve(default(**spec), find)
    other = rule("other", trustRoots=["corp", "sigstore"])
    made = stand_in(serving, [serving, other])
    assert isinstance(made, ResolvedPolicy)
    assert (*made.conflicts,) == () if said is None else said in made.conflicts[0]


def test_the_report_names_the_roots_of_policy_and_rules() -> None:
    """Each once: whoever renews one sees which pods were verified by the old one."""
    serving = trust_root.resolve(default(config=naming("corp"), digests=[DIGEST]), find)
    beside = trust_root.resolve(rule("other", config=naming("mine")), find)
    written = stand_in(serving, [serving, beside]).to_environment()
    read = ResolvedPolicy.from_environment(written)
    assert injected.context(read)["trustRoots"] == ["corp", "mine"]


def test_its_pins_hold_for_its_own_models_too() -> None:
    """Besides the pins of each model."""
    pinned = default(digests=[DIGEST])
    made = stand_in(pinned, [pinned])
    assert isinstance(made, ResolvedPolicy)
    assert [each.digests for each in made.also_required] == [(DIGEST,)]
