from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509

from certs.issuing import SERVING_LIFETIME, issue, new_authority
from tests.support.certificates import CA, DAY, LASTING, Party
from tests.support.cluster_rules import rule_document
from tests.support.fakes.fake_objects import FakeObjects
from tests.support.policies import policy_document
from validator import contract
from validator.policy.crd import DEFINITIONS
from webhook.cluster.api import ClusterApi
from webhook.doctor.certificate import SECRET_PATH
from webhook.doctor.examination import examine
from webhook.doctor.finding import SHOWN_OF_A_KIND, Level
from webhook.doctor.objects import SERVER_NAME
from webhook.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from webhook.doctor.finding import Finding

    Examined = Callable[[], Awaitable[list[Finding]]]

ROOT = Path(__file__).parents[4]
NOW = dt.datetime.now(dt.UTC)
LABEL = "validation.rhtas.redhat.com/ml"
NAMED = "/apis/{group}/{plural}/{name}"
PLURALS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "Deployment": "namespaces/model-validation/deployments",
}
DEPLOYMENTS = "/apis/apps/v1/namespaces/model-validation/deployments"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/model-validation/endpointslices"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
OURS = f"{MUTATING}/zz-model-validation"
POLICIES = "/apis/rhtas.redhat.com/v1alpha1/modelvalidations"
ROOTS = "/apis/rhtas.redhat.com/v1alpha1/trustroots"
RULES = "/apis/rhtas.redhat.com/v1alpha1/clustermodelvalidations"
FORMER = f"{MUTATING}/model-validation"
OWN = "/api/v1/namespaces/model-validation"
PODS_POLICY = (
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/model-validation-pods"
)
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRD = f"{CRDS}/modelvalidations.rhtas.redhat.com"
SAID = 'admission webhook "mutate.validation.rhtas.redhat.com" denied the request: no policy'
GATE_IMAGE = "validation.rhtas.redhat.com/gate-image"


def whole() -> FakeObjects:
    """Return an API server with all that the manifests install, in working order."""
    server = FakeObjects()
    webhook = ROOT / "manifests" / "webhook"
    files = [
        *(webhook / "base").glob("*.yaml"),
        *(webhook / "components/self-signed").glob("*.yaml"),
    ]
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    for each in documents:
        if each.get("kind") in PLURALS:
            plural, name = PLURALS[each["kind"]], each["metadata"]["name"]
            path = NAMED.format(group=each["apiVersion"], plural=plural, name=name)
            server.objects[path] = each
        if each.get("kind") == "Namespace":
            server.objects["/api/v1/namespaces/model-validation"] = each
    server.objects["/version"] = {"major": "1", "minor": "36+"}
    for made in DEFINITIONS.values():
        crd = made() | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
        server.objects[f"{CRDS}/{crd['metadata']['name']}"] = crd
    _issue(server)
    deployments = [each for path, each in server.objects.items() if path.startswith(DEPLOYMENTS)]
    for each in deployments:
        each["status"] = {"readyReplicas": 2, "updatedReplicas": 2}
    server.collections = {
        DEPLOYMENTS: deployments,
        SLICES: [{"endpoints": [{"addresses": ["10.0.0.1"]}]}],
        MUTATING: [server.objects[OURS]],
        POLICIES: [],
        "/api/v1/namespaces": [{"metadata": {"name": "team", "labels": {}}}],
        "/api/v1/pods": [],
    }
    server.refusal = 403, SAID
    return server


def _issue(server: FakeObjects, *, now: dt.datetime = NOW) -> None:
    """Issue a certificate, and have it trusted."""
    authority = new_authority(now=now)
    pair = issue(authority, names=[SERVER_NAME], now=now)
    server.objects[SECRET_PATH] = {"data": {"tls.crt": b64encode(pair.certificate).decode()}}
    for path, each in server.objects.items():
        if "webhookconfigurations" in path:
            bundle = b64encode(authority.certificate).decode()
            each["webhooks"][0]["clientConfig"]["caBundle"] = bundle


@pytest.fixture
async def server() -> AsyncIterator[FakeObjects]:
    """An API server with a whole installation."""
    async with whole().running() as running:
        yield running


@pytest.fixture
async def examined(server: FakeObjects, tmp_path: Path) -> AsyncIterator[Examined]:
    """The examination as a function."""
    api = await ClusterApi.connect(server.kubeconfig(tmp_path), name="test")
    yield lambda: examine(api, probe_namespace="default", now=NOW)
    await api.close()


def codes(found: list[Finding]) -> list[str]:
    """Return what was found, in short."""
    return [f"{each.level} {each.code}" for each in found]


async def test_a_whole_installation_has_no_findings(
    server: FakeObjects, examined: Examined
) -> None:
    """And the pod that is tried carries the label, in the namespace for it."""
    assert await examined() == []
    ((path, pod),) = server.created
    assert path == "/api/v1/namespaces/default/pods"
    assert LABEL in pod["metadata"]["labels"]


def of_deployments(**changes: Any) -> Callable[[FakeObjects], object]:
    """Return a fault of all Deployments: other statuses, or another image."""

    def change(server: FakeObjects) -> None:
        for each in server.collections[DEPLOYMENTS]:
            each["status"] = changes.get("status", each["status"])
            for container in each["spec"]["template"]["spec"]["containers"]:
                container["image"] = changes.get("image", container["image"])

    return change


INSISTING = {
    "metadata": {"name": "zzz-another"},
    "webhooks": [
        {
            "name": "last.example.com",
            "reinvocationPolicy": "IfNeeded",
            "rules": [{"apiGroups": ["*"], "resources": ["pods"], "operations": ["*"]}],
        }
    ],
}
FAULTS: dict[str, Callable[[FakeObjects], object]] = {
    "error admission-policy-missing": lambda server: server.objects.pop(PODS_POLICY),
    "error admission-policy-differs": lambda server: server.objects[PODS_POLICY]["spec"].clear(),
    "error certificate-expired": lambda server: _issue(server, now=NOW - SERVING_LIFETIME - DAY),
    "warning certificate-ends-soon": lambda server: _issue(
        server, now=NOW - SERVING_LIFETIME + DAY
    ),
    "error configuration-missing": lambda server: server.objects.pop(OURS),
    "warning configuration-former": lambda server: server.objects.update({FORMER: {}}),
    "warning another-webhook-is-last": lambda server: server.collections[MUTATING].append(
        INSISTING
    ),
    "error crd-differs": lambda server: server.objects[CRD]["spec"]["versions"][0].pop("schema"),
    "error replicas-not-ready": of_deployments(status={}),
    "warning replicas-not-ready": of_deployments(status={"readyReplicas": 1, "updatedReplicas": 1}),
    "warning version-differs": of_deployments(image="model-validation/webhook:0.0.9"),
    "error gate-image-differs": lambda server: server.objects[OWN]["metadata"].pop("annotations"),
    "error no-endpoints": lambda server: server.collections[SLICES].clear(),
}


@pytest.mark.parametrize("expected", FAULTS)
async def test_each_fault_has_its_finding(
    server: FakeObjects, examined: Examined, expected: str
) -> None:
    """And no other one, however many objects have it."""
    FAULTS[expected](server)
    assert {*codes(await examined())} == {expected}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (("1", "30"), ["error server-old"]),
        (("1", "31"), ["warning server-untried"]),
        (("1", "33"), []),
        (("1", "37+"), []),
        (("1", "38"), ["warning server-untried"]),
        (("one", "x"), ["warning server-untried"]),
    ],
)
async def test_the_servers_version(
    server: FakeObjects, examined: Examined, version: tuple[str, str], expected: list[str]
) -> None:
    """Too old is an error; not tried is a warning."""
    server.objects["/version"] = dict(zip(("major", "minor"), version, strict=True))
    assert codes(await examined()) == expected


async def test_a_root_that_a_policy_names_must_be_there(
    server: FakeObjects, examined: Examined
) -> None:
    """Else the policy cannot be used; where it is there, nothing is found."""
    named = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}
    server.collections[POLICIES] = [policy_document(config=named)]
    assert codes(await examined()) == ["error policy-broken"]
    root = {"metadata": {"name": "corp"}, "spec": {"publicKey": "k"}}
    server.collections[ROOTS] = [root]
    assert codes(await examined()) == []


async def test_a_root_that_cannot_be_used(server: FakeObjects, examined: Examined) -> None:
    """Also before anything names it; a rule that does holds its namespaces back."""
    server.collections[ROOTS] = [{"metadata": {"name": "corp"}, "spec": {}}]
    (found,) = await examined()
    assert (found.level, found.code, found.subject) == (
        Level.WARNING,
        "root-broken",
        "TrustRoot corp",
    )
    assert "set exactly one of trustedRoot, certificateAuthorities" in found.sentence
    named = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}
    server.collections[RULES] = [rule_document(config=named)]
    assert codes(await examined()) == ["error rule-broken", "warning root-broken"]


async def test_a_version_that_may_still_be_stored(server: FakeObjects, examined: Examined) -> None:
    """A release that drops it could not be installed."""
    server.objects[CRD]["status"]["storedVersions"] = ["v1alpha1"]
    assert await examined() == []
    server.objects[CRD]["status"]["storedVersions"] = ["v1alpha1", "v1beta1"]
    (found,) = await examined()
    assert (found.level, found.code) == (Level.WARNING, "crd-stored-versions")
    assert "status.storedVersions has 'v1beta1'" in found.sentence


async def test_without_its_definition_there_are_no_policies(
    server: FakeObjects, examined: Examined
) -> None:
    """One finding, although their list is not there either."""
    del server.objects[CRD], server.collections[POLICIES]
    assert codes(await examined()) == ["error crd-missing"]


@pytest.mark.parametrize("plural", DEFINITIONS)
async def test_each_kind_has_its_definition(
    plural: str, server: FakeObjects, examined: Examined
) -> None:
    """Of those of the whole cluster, too: without one, nothing that it says holds."""
    del server.objects[f"{CRDS}/{plural}.rhtas.redhat.com"]
    assert codes(await examined()) == ["error crd-missing"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "x"}]}},
        {"status": {}},
        {"spec": {"versions": []}},
    ],
)
async def test_a_definition_that_is_not_served(
    server: FakeObjects, examined: Examined, change: dict[str, Any]
) -> None:
    """Not accepted by the API server, or of another version only."""
    server.objects[CRD].update(change)
    assert codes(await examined()) == ["error crd-not-served"]


async def test_entries_that_are_missing_or_conditional(
    server: FakeObjects, examined: Examined
) -> None:
    """An entry of another name does not count, and a condition of somebody's is a difference."""
    entry = server.objects[OURS]["webhooks"][0]
    entry["matchConditions"] = [{"name": "never", "expression": "false"}]
    assert codes(await examined()) == ["error configuration-differs"]
    entry["name"] = "another"
    assert codes(await examined()) == ["error configuration-differs"]


async def test_a_certificate_that_is_not_for_the_service(
    server: FakeObjects, examined: Examined
) -> None:
    """Nor from an authority that is trusted."""
    pair = issue(new_authority(now=NOW), names=["localhost"], now=NOW)
    server.objects[SECRET_PATH]["data"]["tls.crt"] = b64encode(pair.certificate).decode()
    assert codes(await examined()) == [
        "error certificate-names",
        "error certificate-untrusted",
        "error certificate-untrusted",
    ]


@pytest.mark.parametrize("content", ["", "bm90IGEgY2VydGlmaWNhdGU=", "~"])
async def test_what_is_no_certificate(
    server: FakeObjects, examined: Examined, content: str
) -> None:
    """Whatever the Secret holds instead."""
    server.objects[SECRET_PATH]["data"]["tls.crt"] = content
    assert codes(await examined()) == ["error certificate-missing"]


async def test_a_certificate_of_the_future(server: FakeObjects, examined: Examined) -> None:
    """The clocks differ."""
    later = NOW + dt.timedelta(days=30)
    authority = new_authority(now=later)
    pair = issue(authority, names=[SERVER_NAME], now=later)
    server.objects[SECRET_PATH]["data"]["tls.crt"] = b64encode(pair.certificate).decode()
    found = await examined()
    assert codes(found)[0] == "error certificate-expired"
    assert "not valid before" in found[0].sentence


async def test_a_chain_over_an_intermediate_is_trusted(
    server: FakeObjects, examined: Examined
) -> None:
    """The Secret may hold it after the leaf, and only the root is in the bundle."""
    root = Party.root()
    between = root.issue("between", CA)
    leaf = between.issue("leaf", replace(LASTING, names=[x509.DNSName(SERVER_NAME)]))
    pem = leaf.pem + between.pem
    server.objects[SECRET_PATH]["data"]["tls.crt"] = b64encode(pem).decode()
    for path, each in server.objects.items():
        if "webhookconfigurations" in path:
            each["webhooks"][0]["clientConfig"]["caBundle"] = b64encode(root.pem).decode()
    assert await examined() == []


async def test_without_deployments(server: FakeObjects, examined: Examined) -> None:
    """One finding says it; what the Deployment should say is not asked for."""
    server.collections[DEPLOYMENTS] = []
    assert codes(await examined()) == ["error deployment-missing"]


async def test_few_replicas_and_other_images(server: FakeObjects, examined: Examined) -> None:
    """One replica, of another release than the program for the certificates."""
    webhook = next(
        each
        for each in server.collections[DEPLOYMENTS]
        if each["metadata"]["name"] == "model-validation-webhook"
    )
    webhook["spec"]["replicas"] = 1
    webhook["spec"]["template"]["spec"]["containers"][0]["image"] = "model-validation/webhook:0.0.9"
    assert codes(await examined()) == ["warning replicas-few", "warning version-differs"]


async def test_a_previous_image_is_still_accepted(server: FakeObjects, examined: Examined) -> None:
    """As long as an upgrade lasts, that is right."""
    namespace = server.objects["/api/v1/namespaces/model-validation"]
    key = "validation.rhtas.redhat.com/previous-gate-image"
    namespace["metadata"]["annotations"][key] = "model-validation/validator:0.0.9"
    assert codes(await examined()) == ["warning gate-image-previous"]


async def test_nobody_renews_the_certificate(server: FakeObjects, examined: Examined) -> None:
    """Neither our own program nor cert-manager; cert-manager's word is its annotation."""
    path = f"{DEPLOYMENTS}/model-validation-certs"
    server.collections[DEPLOYMENTS].remove(server.objects.pop(path))
    assert codes(await examined()) == ["error certificate-not-renewed"]
    server.objects[OURS]["metadata"]["annotations"] = {"cert-manager.io/inject-ca-from": "x/y"}
    assert await examined() == []


@pytest.mark.parametrize(
    ("label", "value", "trouble"),
    [
        ("policy", "gone", "no such ModelValidation"),
        ("require", "True", "no effect"),
        ("host-path", "false", "no effect"),
        ("ml", "true", "label of pods"),
        ("polciy", "granite", "no label of a namespace"),
    ],
)
async def test_labels_of_namespaces(
    server: FakeObjects, examined: Examined, label: str, value: str, trouble: str
) -> None:
    """Each that does not do what it seems to say."""
    labels = server.collections["/api/v1/namespaces"][0]["metadata"]["labels"]
    labels[f"validation.rhtas.redhat.com/{label}"] = value
    (found,) = await examined()
    assert (found.code, found.subject) == ("namespace-label", "Namespace team")
    assert trouble in found.sentence


async def test_labels_that_are_right(server: FakeObjects, examined: Examined) -> None:
    """A pinned policy that is there, switches, a CSI driver's, and other people's."""
    server.collections[POLICIES] = [policy_document()]
    labels = server.collections["/api/v1/namespaces"][0]["metadata"]["labels"]
    prefix = "validation.rhtas.redhat.com"
    labels[f"{prefix}/policy"] = "granite"
    labels[f"{prefix}/require"] = labels[f"csi-driver.{prefix}/gcsfuse"] = "true"
    labels["example.com/x"] = "y"
    assert await examined() == []


async def test_policies_that_cannot_work(server: FakeObjects, examined: Examined) -> None:
    """One is broken, and one has the placeholder among its signers."""
    keyless = {
        "certificateIdentity": "signer@example.com",
        "certificateOidcIssuer": "https://issuer.example.invalid",
    }
    any_of = {"anyOf": [{"privateKeyConfig": {"publicKey": "PEM"}}, {"sigstoreConfig": keyless}]}
    server.collections[POLICIES] = [
        policy_document("broken", model={"path": "not-absolute"}),
        policy_document("example", config=any_of),
        policy_document("right"),
    ]
    assert codes(await examined()) == ["error policy-broken", "warning signer-placeholder"]


async def test_pods_that_would_not_be_created_again(
    server: FakeObjects, examined: Examined
) -> None:
    """By namespace and label; the operator's counts where it is honoured."""
    server.collections[POLICIES] = [policy_document("granite")]
    operator = "validation.ml.sigstore.dev/ml"
    server.collections["/api/v1/pods"] = [
        {"metadata": {"namespace": "team", "labels": {LABEL: "true"}}},
        {"metadata": {"namespace": "team", "labels": {LABEL: "gone"}}},
        {"metadata": {"namespace": "team", "labels": {LABEL: "gone"}}},
    ]
    (found,) = await examined()
    assert found.sentence.startswith("2 labelled pods would be refused")
    entry = server.objects[OURS]["webhooks"][0]
    server.objects[OURS]["webhooks"].append(
        entry
        | {
            "name": "mutate.validation.ml.sigstore.dev",
            "objectSelector": {"matchExpressions": [{"key": operator, "operator": "Exists"}]},
        }
    )
    server.collections["/api/v1/pods"] = [
        {"metadata": {"namespace": "other", "labels": {operator: "true"}}}
    ]
    (found,) = await examined()
    assert (found.code, found.subject) == ("pods-without-policy", "Namespace other")


async def test_rules_that_do_not_what_they_say(server: FakeObjects, examined: Examined) -> None:
    """One that is broken, one that selects nothing, and one of the examples."""
    nowhere = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
    signer = {"certificateIdentity": "a@b.invalid", "certificateOidcIssuer": "https://b.invalid"}
    server.collections[RULES] = [
        rule_document("good"),
        rule_document("bad", config={}),
        rule_document("nowhere", **nowhere),
        rule_document("example", config={"sigstoreConfig": signer}),
    ]
    found = await examined()
    assert [(each.code, each.subject.rpartition(" ")[2]) for each in found] == [
        ("rule-broken", "bad"),
        ("rule-selects-nothing", "nowhere"),
        ("signer-placeholder", "example"),
    ]
    assert "labelled pods of the 1 namespaces" in found[0].sentence


async def test_an_exemption_that_exempts_nobody(server: FakeObjects, examined: Examined) -> None:
    """Since it cannot be read; its author sees a refused pod, and no reason."""
    path = "/apis/rhtas.redhat.com/v1alpha1/modelvalidationexemptions"
    server.collections[path] = [{"metadata": {"name": "until-signed"}, "spec": {"expires": 7}}]
    (found,) = await examined()
    assert (found.code, found.level) == ("exemption-broken", Level.WARNING)
    assert found.subject == "ModelValidationExemption until-signed"
    assert found.sentence.startswith("it exempts nobody: as the API server has it: ")


async def test_pods_whose_namespace_a_rule_serves_or_refuses(
    server: FakeObjects, examined: Examined
) -> None:
    """What the webhook would say of them now, with all rules."""
    server.collections["/api/v1/pods"] = [
        {"metadata": {"namespace": "team", "labels": {contract.LABEL: "true"}}}
    ]
    serving = rule_document(default=True, model={"path": "/models/granite"})
    server.collections[RULES] = [rule_document("other")]
    (found,) = await examined()
    assert found.code == "pods-without-policy"
    server.collections[RULES] = [serving]
    assert await examined() == []
    server.collections[RULES] = [serving, serving | {"metadata": {"name": "second"}}]
    (found,) = await examined()
    assert "several ClusterModelValidations with default: true" in found.sentence


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ((201, ""), ["error webhook-not-asked"]),
        (
            (500, 'failed calling webhook "mutate.validation.rhtas.redhat.com": refused'),
            ["error webhook-not-reached"],
        ),
        (
            (422, "ValidatingAdmissionPolicy 'model-validation-new-pods' denied request"),
            ["error webhook-not-asked"],
        ),
        ((404, 'namespaces "default" not found'), ["warning webhook-not-tried"]),
        ((403, 'User "x" cannot create resource "pods"'), ["error not-readable"]),
        ((403, "exceeded quota"), ["warning webhook-not-tried"]),
    ],
)
async def test_the_way_to_the_webhook(
    server: FakeObjects, examined: Examined, refusal: tuple[int, str], expected: list[str]
) -> None:
    """What the API server says of the labelled pod tells where it ended."""
    server.refusal = refusal
    assert codes(await examined()) == expected


async def test_a_missing_right_is_one_finding(server: FakeObjects, examined: Examined) -> None:
    """Although two checks need it; the others are made, and errors come first."""
    server.forbidden = {POLICIES}
    server.collections["/api/v1/namespaces"][0]["metadata"]["labels"] = {LABEL: "true"}
    server.objects["/version"]["minor"] = "39"
    assert codes(await examined()) == ["error not-readable", "warning server-untried"]


async def test_a_failing_server_is_a_finding(server: FakeObjects, examined: Examined) -> None:
    """What it answers with an error was not looked at."""
    server.objects["/version"] = {"major": 1}
    with pytest.raises(SetupError, match="cannot be examined"):
        await examined()


async def test_many_alike_are_counted(server: FakeObjects, examined: Examined) -> None:
    """The first ones are listed."""
    labels = {"validation.rhtas.redhat.com/require": "yes"}
    server.collections["/api/v1/namespaces"] = [
        {"metadata": {"name": f"team-{number}", "labels": labels}} for number in range(50)
    ]
    found = await examined()
    assert len(found) == SHOWN_OF_A_KIND + 1
    assert found[-1].sentence.startswith("30 more findings")


async def test_without_access_nothing_is_found(server: FakeObjects, examined: Examined) -> None:
    """That is the caller's error, and no finding."""
    server.unknown = True
    with pytest.raises(SetupError, match="does not know our credentials"):
        await examined()


async def test_the_command_prints_one_line_each(server: FakeObjects, tmp_path: Path) -> None:
    """Level, object, sentence and code, and how many; exit code 1, as there is an error."""
    del server.objects[CRD]
    ended = await _run("--kubeconfig", str(server.kubeconfig(tmp_path)))
    assert ended.returncode == 1, ended.stderr
    first, last = ended.stdout.splitlines()
    assert first.startswith("error: CustomResourceDefinition modelvalidations.rhtas.redhat.com: ")
    assert first.endswith("[crd-missing]")
    assert last == "1 error, no warnings."


async def test_without_a_cluster_the_command_says_so(tmp_path: Path) -> None:
    """In one sentence, with the exit code of a wrong setup."""
    (tmp_path / "broken").write_text("{}")
    for name in ("absent", "broken"):
        path = tmp_path / name
        ended = await _run("--kubeconfig", str(path))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith(
            f"python -m webhook: there is no access to the API server by the kubeconfig {path}: "
        )
        assert ended.stderr.count("\n") == 1


async def _run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, while the server of this loop answers."""
    command = [sys.executable, "-m", "webhook", "doctor", *options]
    return await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False
    )
