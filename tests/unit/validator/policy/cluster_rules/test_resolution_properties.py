"""A resolved policy never accepts what the policy or a rule alone refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.cluster_rules import rule
from tests.support.policies import policy_document
from validator.policy.cluster_rules.resolution import resolve
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.document import ModelValidation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from validator.policy.cluster_rules.rule import ClusterModelValidation
    from validator.policy.signers import Config

DIGEST, OTHER = (f"sha256:{digit * 64}" for digit in "01")


def policy(**spec: Any) -> ModelValidation:
    """Return a namespace's policy."""
    return ModelValidation.from_object(policy_document(**spec), source="policy.yaml")


def resolved(made: ModelValidation, *rules: ClusterModelValidation) -> ResolvedPolicy:
    """Return both as one document."""
    found = resolve(made, rules)
    assert isinstance(found, ResolvedPolicy)
    return found


KEYS = ("PEM 1", "PEM 2", "PEM 3")
PATHS = ("a", "a/b", "c")
IMAGES = (f"r/x@{DIGEST}", f"r/y@{DIGEST}", DIGEST, OTHER)
DRIVERS = ("a.example", "b.example")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod and its model, as far as a policy looks at them."""

    key: str
    digest: str
    unsigned: str | None
    git: bool
    stray: bool
    privileged: bool
    image: str
    beside: str | None
    driver: str


PODS = st.builds(
    Pod,
    key=st.sampled_from(KEYS),
    digest=st.sampled_from([DIGEST, OTHER]),
    unsigned=st.sampled_from([None, *PATHS]),
    git=st.booleans(),
    stray=st.booleans(),
    privileged=st.booleans(),
    image=st.sampled_from(IMAGES[:2]),
    beside=st.sampled_from([None, *IMAGES[:2]]),
    driver=st.sampled_from(DRIVERS),
)


def subsets(of: Sequence[str], *, least: int = 0) -> st.SearchStrategy[list[str]]:
    """Generate some of them."""
    return st.lists(st.sampled_from(of), unique=True, min_size=least)


def fields() -> dict[str, st.SearchStrategy[Any]]:
    """Return what a policy and a rule have in common."""
    return {
        "config": subsets(KEYS, least=1).map(
            lambda keys: {"anyOf": [{"privateKeyConfig": {"publicKey": key}} for key in keys]}
        ),
        "mode": st.sampled_from(["Audit", "Enforce"]),
        "allowPrivileged": st.booleans(),
        "workload": st.fixed_dictionaries(
            {"arguments": st.sampled_from(["Check", "Strict"])},
            optional={"images": subsets(IMAGES), "otherImages": subsets(IMAGES)},
        ),
    }


def ignores() -> dict[str, st.SearchStrategy[Any]]:
    """Return what a policy says of each model, and a rule of all."""
    return {
        "digests": subsets([DIGEST, OTHER]),
        "ignorePaths": subsets(PATHS),
        "ignoreGitPaths": st.booleans(),
        "ignoreUnsignedFiles": st.booleans(),
    }


POLICIES = st.fixed_dictionaries({**fields(), "model": st.fixed_dictionaries(ignores())}).map(
    lambda spec: policy(**spec)
)
RULES = st.fixed_dictionaries({**fields(), **ignores()}, optional={"csiDrivers": subsets(DRIVERS)})


def signed(config: Config, digests: Sequence[str], pod: Pod) -> bool:
    """Tell whether a signature is accepted."""
    keys = {signer.method.public_key for signer in config.signers}  # type: ignore[union-attr]
    return pod.key in keys and (not digests or pod.digest in digests)


def ignored(said: Any, pod: Pod) -> bool:
    """Tell whether all that is not signed may be there."""
    path = pod.unsigned
    return (
        (path is None or any(f"{path}/".startswith(f"{each}/") for each in said.ignore_paths))
        and (not pod.git or said.ignore_git_paths)
        and (not pod.stray or said.ignore_unsigned_files)
    )


def allowed(image: str | None, images: Sequence[str] | None) -> bool:
    """Tell whether an image is in a list; `None` says nothing, in place of either."""
    return image is None or images is None or bool({image, image.partition("@")[2]} & set(images))


def admits(spec: Any, pod: Pod) -> bool:
    """Tell whether what a policy or a rule says of pods is so."""
    workload = spec.workload
    return (not pod.privileged or spec.allow_privileged) and (
        workload.arguments == "Check"
        or (allowed(pod.image, workload.images) and allowed(pod.beside, workload.other_images))
    )


def accepted_by_policy(made: ModelValidation, pod: Pod) -> bool:
    """Tell whether a policy lets a pod be, by its own words."""
    (model,) = made.spec.all_models
    return made.spec.mode == "Audit" or (
        signed(made.spec.config, model.digests, pod)
        and ignored(model, pod)
        and admits(made.spec, pod)
    )


def accepted_by_rule(made: ClusterModelValidation, pod: Pod) -> bool:
    """Tell whether a rule lets a pod be, by its own words."""
    spec, drivers = made.spec, made.spec.csi_drivers
    return spec.mode == "Audit" or (
        signed(spec.config, spec.digests, pod)
        and ignored(spec, pod)
        and admits(spec, pod)
        and (drivers is None or pod.driver in drivers)
    )


def accepted_by_both(made: ResolvedPolicy, pod: Pod) -> bool:
    """Tell whether the resolved document lets a pod be."""
    drivers = made.csi_drivers
    return accepted_by_policy(made, pod) and (
        made.spec.mode == "Audit"
        or (
            all(signed(each.config, each.digests, pod) for each in made.also_required)
            and (drivers is None or pod.driver in drivers)
        )
    )


@given(POLICIES, st.lists(RULES, min_size=1, max_size=3), PODS)
def test_what_is_accepted_is_accepted_by_each_alone(
    made: ModelValidation, specs: list[dict[str, Any]], pod: Pod
) -> None:
    """Whatever the policy, the rules and the pod are."""
    rules = [rule(f"r{number}", **spec) for number, spec in enumerate(specs)]
    both = resolved(made, *rules)
    if accepted_by_both(both, pod):
        assert accepted_by_policy(made, pod)
        assert all(accepted_by_rule(each, pod) for each in rules)


@given(POLICIES, RULES, PODS)
def test_what_each_alone_accepts_is_accepted_by_both(
    made: ModelValidation, spec: dict[str, Any], pod: Pod
) -> None:
    """Under Check, where images are nobody's list: nothing is refused for no reason."""
    one = rule(**(spec | {"mode": "Enforce", "workload": {"arguments": "Check"}}))
    if made.spec.mode == "Audit" or made.spec.workload.arguments == "Strict":
        return
    if accepted_by_policy(made, pod) and accepted_by_rule(one, pod):
        assert accepted_by_both(resolved(made, one), pod)


@given(POLICIES, st.lists(RULES, min_size=1, max_size=3))
def test_the_gates_document_is_read_as_it_was_meant(
    made: ModelValidation, specs: list[dict[str, Any]]
) -> None:
    """Written and read, it is the same."""
    both = resolved(made, *(rule(f"r{number}", **spec) for number, spec in enumerate(specs)))
    assert ResolvedPolicy.from_environment(both.to_environment()) == both
