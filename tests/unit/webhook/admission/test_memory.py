from __future__ import annotations

import asyncio
import copy
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.fakes.fake_cluster import FakeCluster
from tests.support.generated_pods import damaged, pods, policies
from tests.support.pods import SETTINGS, claim, container, mount, mutated, pod, policy, vllm
from validator.contract import LABEL, NAMESPACE_HOST_PATH_LABEL
from webhook.admission.memory import ANSWER_LIMIT, Inputs, Key, Memory, key
from webhook.admission.reviewer import Reviewer
from webhook.errors import RequestError
from webhook.review import Answer, Review
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from validator.policy.document import ModelValidation

Document = dict[str, Any]

TOKENS: Final = ("kube-api-access-2x7k9", "kube-api-access-zzzzz")
AT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


def review(document: Document, *, uid: str = "1") -> Review:
    """Return the review of a pod's creation in the namespace `team`."""
    return Review(
        uid=uid,
        operation="CREATE",
        resource=("", "v1", "pods"),
        subresource="",
        namespace="team",
        name="",
        dry_run=False,
        object=document,
        old_object=None,
    )


def with_token(document: Document, name: str) -> Document:
    """Return a pod as the API server gives it a token: a volume with an invented name."""
    made = copy.deepcopy(document)
    made["spec"]["volumes"].append({"name": name, "projected": {"sources": [], "defaultMode": 420}})
    for each in made["spec"]["containers"]:
        each.setdefault("volumeMounts", []).append(mount(name, AT, readOnly=True))
    return made


def created(document: Document, number: int) -> Document:
    """Return a pod as another one of its workload is created."""
    made = copy.deepcopy(document)
    made["metadata"] |= {
        "name": f"llm-{number}",
        "uid": f"uid-{number}",
        "creationTimestamp": f"2026-11-0{number}T00:00:00Z",
        "managedFields": [{"manager": "kube-controller-manager", "time": f"0{number}"}],
    }
    return made


def cluster(*known: ModelValidation) -> FakeCluster:
    """Return a cluster with the namespace `team` and its policies."""
    made = FakeCluster()
    made.known.put_namespace(NamespaceOptions(name="team"))
    made.known.replace(known)
    made.live = list(known)
    return made


def reviewer(source: FakeCluster) -> Reviewer:
    """Return a reviewer that remembers nothing yet."""
    return Reviewer(source=source, gate=SETTINGS)


def forget(policies: Iterable[ModelValidation]) -> None:
    """Have policies forget how they are written for a gate's environment."""
    for each in policies:
        vars(each).clear()


def answered(by: Reviewer, document: Document, *, task: str, uid: str = "1") -> Answer | str:
    """Return the answer on a pod, or what is wrong with the request."""
    ask = by.mutate if task == "mutate" else by.validate
    try:
        return asyncio.run(ask(review(copy.deepcopy(document), uid=uid)))
    except RequestError as error:
        return str(error)


def written(answer: Answer | str) -> bytes:
    """Return an answer as JSON, where 1 and true are two values."""
    return msgspec.json.encode(answer)


def changed(document: Document, change: dict[tuple[str | int, ...], Any]) -> Document:
    """Return a pod with other values at the places of `change`."""
    made = copy.deepcopy(document)
    for path, value in change.items():
        place: Any = made
        *above, last = path
        for step in above:
            place = place[step]
        place[last] = value
    return made


FAMILY: Final = [
    pod(),
    pod(vllm(mount("data", "/models")), volumes=[{"name": "data", "ephemeral": {}}]),
    pod(
        vllm(mount("data", "/models")),
        container("other", mount("same", "/x")),
        volumes=[{"name": "data", "ephemeral": {}}, claim("same", of="llm-1-data")],
    ),
]
CHANGES: Final[list[dict[tuple[str | int, ...], Any]]] = [
    {},
    {("metadata", "labels", "app"): "other"},
    {("metadata", "annotations"): {"note": "x"}},
    {("spec", "containers", 0, "args"): ["--port=1"]},
    {("spec", "containers", 0, "args"): ["--model", f"/models/{TOKENS[0]}"]},
    {("spec", "containers", 0, "name"): TOKENS[0]},
    {("spec", "containers", 0, "volumeMounts", 0, "name"): TOKENS[1]},
    {("spec", "containers", 0, "volumeMounts", 0, "subPath"): TOKENS[0]},
    {("spec", "hostPID"): True},
    {("spec", "restartPolicy"): 1},
    {("spec", "restartPolicy"): True},
    {("spec", "nodeName"): 1.0},
    {("metadata", "labels", LABEL): "granite"},
]
POLICIES: Final = (
    policy(),
    policy(mode="Audit"),
    policy(onRestart="Verify"),
    policy(model={"volume": {"persistentVolumeClaim": {"claimName": "granite"}}}),
    policy(model={"volume": {"hostPath": {"path": "/srv"}}}),
)
"""All have one name, uid and generation: an etcd that was restored may bring such."""
SERVERS: Final = (None, (1, 35), (1, 36))
LABELS: Final[tuple[dict[str, str], ...]] = ({}, {NAMESPACE_HOST_PATH_LABEL: "true"})

thorough = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(st.data())
def test_what_is_remembered_is_what_would_be_judged_now(data: st.DataObject) -> None:
    """One memory answers as a fresh one, whatever was asked before and has changed since."""
    source = cluster()
    remembering = reviewer(source)
    family = data.draw(st.sampled_from(FAMILY))
    relatives = [
        created(changed(with_token(family, token), change), number)
        for change in (CHANGES[0], data.draw(st.sampled_from(CHANGES)))
        for number, token in enumerate(TOKENS, start=1)
    ]
    chosen = data.draw(st.lists(st.sampled_from(POLICIES), min_size=2, max_size=2))
    task = data.draw(st.sampled_from(["mutate", "validate"]))
    if task == "validate":
        relatives += [mutated(each, POLICIES[0]) for each in relatives[:2]]
    for _ in range(12):
        source.live = [data.draw(st.sampled_from(chosen))]
        source.known.replace(source.live)
        source.server = data.draw(st.sampled_from(SERVERS))
        options = NamespaceOptions(name="team", labels=data.draw(st.sampled_from(LABELS)))
        source.known.put_namespace(options)
        given_pod = data.draw(st.sampled_from(relatives))
        before = len(remembering.memory)
        answer = answered(remembering, given_pod, task=task)
        forget(chosen)
        assert written(answer) == written(answered(reviewer(source), given_pod, task=task))
        if isinstance(answer, Answer) and answer.refusal is None:
            event("judged" if len(remembering.memory) > before else "remembered")


@thorough
@given(pods() | damaged(), policies, st.sampled_from(["mutate", "validate"]))
def test_any_pod_of_a_workload_gets_its_own_answer(
    family: Any, chosen: ModelValidation, task: str
) -> None:
    """The second pod of any workload is answered as if it were the first one."""
    source = cluster(chosen)
    remembering = reviewer(source)
    for number, token in enumerate(TOKENS, start=1):
        try:
            sibling = created(with_token(family, token), number)
        except (AttributeError, TypeError, KeyError, ValueError):
            sibling = family  # no pod that could get a token
        answer = answered(remembering, sibling, task=task)
        assert written(answer) == written(answered(reviewer(source), sibling, task=task))


def test_the_pods_of_a_workload_are_judged_once() -> None:
    """Mutation and validation remember one answer each, whatever the pods' names and tokens are."""
    by = reviewer(cluster(policy()))
    for number, token in enumerate(TOKENS, start=1):
        sibling = created(with_token(pod(), token), number)
        answer = answered(by, sibling, task="mutate", uid=f"request-{number}")
        assert isinstance(answer, Answer)
        assert (answer.uid, answer.refusal) == (f"request-{number}", None)
        assert len(by.memory) == 1


def test_another_policy_of_the_same_generation_is_judged_anew() -> None:
    """The policy's text counts, and not what it is called."""
    source = cluster(policy())
    by = reviewer(source)
    answered(by, pod(), task="mutate")
    source.known.replace([policy(mode="Audit")])
    answer = answered(by, pod(), task="mutate")
    assert isinstance(answer, Answer)
    assert answer.audit["mode"] == "Audit"


def test_a_refusal_is_not_remembered() -> None:
    """Each is judged on what a live read finds."""
    source = cluster(policy())
    by = reviewer(source)
    refused = pod(hostPID=True)
    for reads in (1, 2):
        answer = answered(by, refused, task="mutate")
        assert isinstance(answer, Answer)
        assert answer.refusal
        assert (source.live_reads, len(by.memory)) == (reads, 0)


INPUTS: Final = Inputs(
    task="mutate",
    policy=policy(),
    gate=SETTINGS,
    namespace=NamespaceOptions(name="team"),
    operator_compat=False,
)


@pytest.mark.parametrize(
    "other",
    [
        {"task": "validate"},
        {"policy": policy(mode="Audit")},
        {"gate": dataclasses.replace(SETTINGS, image="other:1")},
        {"gate": dataclasses.replace(SETTINGS, accepted_images=())},
        {"gate": dataclasses.replace(SETTINGS, command=("/bin/validator",))},
        {"gate": dataclasses.replace(SETTINGS, user=1)},
        {"gate": dataclasses.replace(SETTINGS, server=(1, 35))},
        {"namespace": NamespaceOptions(name="other")},
        {"namespace": NamespaceOptions(name="team", labels={"a": "b"})},
        {"operator_compat": True},
    ],
    ids="-".join,
)
def test_each_input_makes_another_key(other: dict[str, Any]) -> None:
    """None of what decides is left out."""
    assert key(pod(), INPUTS) != key(pod(), msgspec.structs.replace(INPUTS, **other))


@pytest.mark.parametrize("change", CHANGES[1:], ids=lambda change: ".".join(map(str, *change)))
def test_each_change_of_a_pod_makes_another_key(change: dict[tuple[str | int, ...], Any]) -> None:
    """Also where it is a value that Python takes for the same one."""
    keys = {key(changed(pod(), each), INPUTS) for each in (CHANGES[0], change)}
    assert len(keys) == 2


def test_a_number_is_neither_a_truth_value_nor_another_kind_of_number() -> None:
    """Python's 1, 1.0 and True are equal; JSON's are three."""
    values = (1, 1.0, True, "1")
    assert len({key(pod(restartPolicy=value), INPUTS) for value in values}) == len(values)


def test_a_pods_name_counts_where_its_claims_are_named_after_it() -> None:
    """One pod's ephemeral claim is the claim that another volume names; its sibling's is not."""
    by = reviewer(cluster(policy()))
    answers = [answered(by, created(FAMILY[2], number), task="mutate") for number in (1, 2)]
    patches = [answer.patch for answer in answers if isinstance(answer, Answer)]
    assert [b"/spec/containers/1/" in patch for patch in patches] == [True, False]


@pytest.mark.parametrize(
    "variable",
    [
        {"name": TOKENS[0], "value": "x"},  # a name as well, and of as little account
        {"name": "X", "value": TOKENS[0]},
        {"name": "X", "value": f"a {TOKENS[0]}"},
        {"name": "X", "value": "kube-api-access-"},
    ],
)
def test_a_token_volumes_name_counts_where_it_stands_elsewhere(variable: Document) -> None:
    """Only an invented name that names nothing but a volume is taken for any other one."""
    made = with_token(pod(vllm(env=[variable])), TOKENS[0])
    assert (key(made, INPUTS) is None) == (variable["value"] != "x")


def test_an_answer_that_names_the_token_volume_is_not_remembered() -> None:
    """It would name another pod's."""
    memory, name = Memory(), Key(b"1", f'"{TOKENS[0]}"'.encode())
    memory.remember(name, Answer(uid="1", warnings=(f"the volume {TOKENS[0]} is here",)))
    assert memory.recall(name) is None
    memory.remember(name, Answer(uid="1", warnings=("a volume is here",)))
    assert memory.recall(name) is not None


def test_memory_is_bounded() -> None:
    """By entries and by bytes; what was asked for last stays, and a large answer never comes in."""
    few = Memory(entries=2)
    for name in (b"1", b"2"):
        few.remember(Key(name, None), Answer(uid=""))
    few.recall(Key(b"1", None))
    few.remember(Key(b"3", None), Answer(uid=""))
    assert [few.recall(Key(name, None)) is not None for name in (b"1", b"2", b"3")] == [1, 0, 1]
    small = Memory(size=3000)
    for name in (b"1", b"2", b"3"):
        small.remember(Key(name, None), Answer(uid="", warnings=("x" * 1300,)))
    assert [small.recall(Key(name, None)) is not None for name in (b"1", b"2", b"3")] == [0, 1, 1]
    small.remember(Key(b"4", None), Answer(uid="", warnings=("x" * ANSWER_LIMIT,)))
    assert len(small) == 2
