"""Resources in the shape of the Go operator's own examples, written as ours and admitted."""

from __future__ import annotations

import io
import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from validator import contract
from validator.policy.document import ModelValidation
from webhook.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, list[Any], str]]

Document = dict[str, Any]

PAGE = (Path(__file__).parents[4] / "docs/from-the-operator.md").read_text()

THEIRS = contract.OPERATOR_LABEL
DOMAIN = "validation.ml.sigstore.dev"
WORKFLOW = "https://github.com/example/models/.github/workflows/sign.yaml@refs/tags/v1"
GITHUB = "https://token.actions.githubusercontent.com"
KEYLESS = {"sigstoreConfig": {"certificateIdentity": WORKFLOW, "certificateOidcIssuer": GITHUB}}
KEY = {"publicKeyConfig": {"keyPath": "/keys/signer.pub"}}


def policy(name: str = "demo", *, model: Document | None = None, **spec: Any) -> Document:
    """Return a ModelValidation as the operator's definition has it."""
    paths = {"path": "/data/model", "signaturePath": "/data/model/model.sig"}
    return {
        "apiVersion": "ml.sigstore.dev/v1alpha1",
        "kind": "ModelValidation",
        "metadata": {"name": name},
        "spec": {"config": KEYLESS, "model": paths | (model or {})} | spec,
    }


def pod(*, metadata: Document | None = None, **spec: Any) -> Document:
    """Return a pod with the operator's label and the model on a claim."""
    mounted = [{"name": "model-storage", "mountPath": "/data"}]
    server = {"name": "server", "image": "registry.example/server:1", "volumeMounts": mounted}
    claim = {"name": "model-storage", "persistentVolumeClaim": {"claimName": "models"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {THEIRS: "demo"}} | (metadata or {}),
        "spec": {"containers": [server], "volumes": [claim]} | spec,
    }


def deployment(**spec: Any) -> Document:
    """Return a Deployment of that pod."""
    template = {"metadata": pod()["metadata"], "spec": pod()["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server"},
        "spec": {"template": template} | spec,
    }


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server"}, "spec": {}}


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on documents in standard input; return exit code, documents, what it said."""

    def command(arguments: list[str], *documents: Any) -> tuple[int, list[Any], str]:
        given = "---\n".join(f"{json.dumps(document)}\n" for document in documents).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main([*arguments, "-"])
        out, err = capsys.readouterr()
        return code, list(yaml.safe_load_all(out)), err

    return command


@pytest.fixture
def convert(stream: Run) -> Run:
    """Convert documents."""
    return partial(stream, ["convert"])


@pytest.fixture
def admitted(stream: Run) -> Run:
    """Have documents mutated."""
    return partial(stream, ["mutate", "--output", "yaml"])


LOADER = {
    "name": "loader",
    "image": "registry.example/loader:1",
    "command": ["sh", "-c", "cp -r /source/model /data && cp /source/signer.pub /keys"],
    "volumeMounts": [
        {"name": "model-storage", "mountPath": "/data"},
        {"name": "key-storage", "mountPath": "/keys"},
    ],
}
KEYED = pod(
    initContainers=[LOADER],
    containers=[
        pod()["spec"]["containers"][0] | {"volumeMounts": LOADER["volumeMounts"]},
    ],
    volumes=[{"name": "model-storage", "emptyDir": {}}, {"name": "key-storage", "emptyDir": {}}],
)
AGAIN = {"enabled": True, "interval": "5m"}
FIRST = policy() | {"apiVersion": "rhtas.redhat.com/v1alpha1"}
FIRST_LABEL = {"labels": {"validation.rhtas.redhat.com/ml": "true"}}

EXAMPLES: dict[str, list[Document]] = {
    "a policy and a pod": [policy(), pod()],
    "a Deployment and a Service": [policy(), deployment(), SERVICE],
    "verified again, with a key from a volume": [
        policy(config=KEY, imagePullPolicy="IfNotPresent", continuousValidation=AGAIN),
        KEYED,
    ],
    "what is ignored": [
        policy(model={"ignorePaths": ["/data/model/cache", "tmp"], "ignoreGitPaths": True}),
        pod(),
    ],
    "rhtas.redhat.com, keyless": [FIRST, pod(metadata=FIRST_LABEL)],
    "rhtas.redhat.com, a key": [
        FIRST | {"spec": FIRST["spec"] | {"config": {"privateKeyConfig": KEY["publicKeyConfig"]}}},
        KEYED | {"metadata": {"name": "server"} | FIRST_LABEL},
    ],
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_admitted_after_conversion(example: str, convert: Run, admitted: Run) -> None:
    """Nothing is left to do, nothing is lost on the way, and each pod has its gate."""
    given = EXAMPLES[example]
    code, made, said = convert(*given)
    assert code == 0, said
    assert "nothing is left to do by hand" in said
    assert [document["kind"] for document in made] == [document["kind"] for document in given]
    ModelValidation.from_object(made[0], source="test")
    code, gated, said = admitted(*made)
    assert code == 0, said
    assert "model-validation" in str(gated[1])


@pytest.mark.parametrize("example", EXAMPLES)
def test_twice_is_as_once(example: str, convert: Run) -> None:
    """A converted resource is ours, and is left as it is."""
    _, once, _ = convert(*EXAMPLES[example])
    code, twice, said = convert(*once)
    assert (code, twice) == (0, once)
    assert said == f"0 of {len(once)} manifests changed; nothing is left to do by hand\n"


def test_what_is_not_the_operators_is_printed_unchanged(convert: Run) -> None:
    """A Service, a policy of ours, and text that looks like a number to some reader."""
    ours = policy(config=KEY, model={"volume": {"name": "m"}}) | {
        "apiVersion": contract.API_VERSION,
    }
    labelled = SERVICE | {"metadata": {"name": "s", "labels": {"commit": "123e4", "on": "y"}}}
    assert convert(SERVICE, ours, labelled) == (
        0,
        [SERVICE, ours, labelled],
        "0 of 3 manifests changed; nothing is left to do by hand\n",
    )


FIELDS: list[tuple[str, Document, Document | None, str]] = [
    # what it is, the operator's, ours (None: as the operator's), the sentence
    ("path", {"model": {"path": "/data/model"}}, None, ""),
    ("path/", {"model": {"path": "/data/model/"}}, {"model": {"path": "/data/model"}}, "for"),
    ("s3", {"model": {"path": "s3://b/m"}}, None, "by hand: as it is, it is refused: spec.model"),
    ("..", {"model": {"path": "/data/../m"}}, None, "by hand: as it is, it is refused: spec.model"),
    ("signaturePath", {"model": {"signaturePath": "/data/m.sig"}}, None, ""),
    (
        "signaturePath, remote",
        {"model": {"signaturePath": "https://h/m.sig"}},
        None,
        "by hand: as it is, it is refused: spec.model.signaturePath",
    ),
    (
        "ignorePaths",
        {"model": {"ignorePaths": ["/data/model/a", "./b/", "c", "/elsewhere"]}},
        {"model": {"ignorePaths": ["a", "b", "c"]}},
        "'/elsewhere' is left out of spec.model.ignorePaths: it is not in the model",
    ),
    (
        "ignorePaths, relative",
        {"model": {"ignorePaths": ["/data/model/a"]}},
        {"model": {"ignorePaths": ["a"]}},
        "spec.model.ignorePaths: 'a' for '/data/model/a'",
    ),
    (
        "ignorePaths, all",
        {"model": {"ignorePaths": ["/data/model"]}},
        None,
        "by hand: as it is, it is refused: spec.model.ignorePaths[0]",
    ),
    (
        "ignorePaths, above",
        {"model": {"ignorePaths": ["../x"]}},
        None,
        "by hand: as it is, it is refused: spec.model.ignorePaths[0]",
    ),
    ("ignoreGitPaths", {"model": {"ignoreGitPaths": False}}, None, ""),
    ("ignoreUnsignedFiles", {"model": {"ignoreUnsignedFiles": True}}, None, ""),
    ("allowSymlinks", {"model": {"allowSymlinks": True}}, {}, "allowSymlinks is left out"),
    (
        "certificateIdentity",
        {
            "config": {
                "sigstoreConfig": {
                    "certificateIdentity": "email:a@example.com",
                    "certificateOidcIssuer": "https://accounts.example.com",
                }
            }
        },
        {
            "config": {
                "sigstoreConfig": {
                    "certificateIdentity": "a@example.com",
                    "certificateOidcIssuer": "https://accounts.example.com",
                }
            }
        },
        "without 'email:'",
    ),
    (
        "publicKeyConfig",
        {"config": KEY},
        {"config": KEY, "allowPodTrustAnchors": True},
        "write the PEM text into spec.config.publicKeyConfig.publicKey",
    ),
    (
        "pkiConfig",
        {"config": {"pkiConfig": {"certificateAuthority": "/ca//root.pem"}}},
        {
            "config": {"pkiConfig": {"certificateAuthority": "/ca/root.pem"}},
            "allowPodTrustAnchors": True,
        },
        "write the PEM text into spec.config.pkiConfig.certificateAuthorities",
    ),
    (
        "clientTrustConfig",
        {"config": KEYLESS | {"clientTrustConfig": {"trustConfigPath": "/t/config.json"}}},
        {"trust": {}},
        "by hand: spec.config.clientTrustConfig is a file of the pod, '/t/config.json'",
    ),
    (
        "clientTrustConfig beside a key",
        {"config": KEY | {"clientTrustConfig": {"trustConfigPath": "/t/config.json"}}},
        {"config": KEY, "allowPodTrustAnchors": True},
        "clientTrustConfig is left out: keys and certificates do not use it",
    ),
    ("imagePullPolicy", {"imagePullPolicy": "Always"}, {}, "imagePullPolicy is left out"),
    ("IfNotPresent", {"imagePullPolicy": "IfNotPresent"}, {}, "imagePullPolicy is left out"),
    ("Never", {"imagePullPolicy": "Never"}, {}, "by hand: spec.imagePullPolicy 'Never' has no"),
    ("not again", {"continuousValidation": {"enabled": False}}, {}, "it is not enabled"),
    (
        "again",
        {"continuousValidation": {"enabled": True}},
        {"revalidation": {"interval": "5m"}},
        "the operator only logs it",
    ),
    (
        "again, in parts",
        {"continuousValidation": {"enabled": True, "interval": "1h1.5m"}},
        {"revalidation": {"interval": "3690s"}},
        "spec.revalidation.interval is 3690s",
    ),
    (
        "again, hours",
        {"continuousValidation": {"enabled": True, "interval": "120m"}},
        {"revalidation": {"interval": "2h"}},
        "spec.revalidation.interval is 2h",
    ),
    (
        "again, rarely",
        {"continuousValidation": {"enabled": True, "interval": "36h"}},
        {"revalidation": {"interval": "24h"}},
        "by hand: the interval '36h' is longer than a day",
    ),
    (
        "again, at an unknown time",
        {"continuousValidation": {"enabled": True, "interval": "soon"}},
        {"revalidation": {"interval": "soon"}},
        "by hand: as it is, it is refused: spec.revalidation.interval",
    ),
    ("a field of a later version", {"newField": 1}, None, "by hand: as it is, it is refused: spec"),
]


@pytest.mark.parametrize(
    ("theirs", "ours", "said"), [each[1:] for each in FIELDS], ids=[each[0] for each in FIELDS]
)
def test_each_field(theirs: Document, ours: Document | None, said: str, convert: Run) -> None:
    """Each field of the operator's definition has ours, or a sentence and exit code 1."""
    given = policy(**theirs)
    wanted = policy(**(theirs if ours is None else ours)) | {"apiVersion": contract.API_VERSION}
    code, (made,), err = convert(given)
    assert made == wanted
    assert said in err
    assert f"apiVersion is {contract.API_VERSION}" in err
    assert code == ("by hand" in said)
    if code == 0:
        ModelValidation.from_object(made, source="test")


def test_what_the_cluster_wrote_is_left_out(convert: Run) -> None:
    """The output of `kubectl get -o yaml` can be applied, in another group."""
    given = policy() | {"status": {"injectedPodCount": 1}}
    given["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": [],
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion":"ml.sigstore.dev"}'
        },
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [given]}
    code, (made,), said = convert(listed)
    assert code == 0
    assert made["metadata"] == {"name": "demo", "annotations": {}}
    assert "status" not in made
    assert "last-applied-configuration is left out: kubectl writes it anew" in said
    assert (
        "left out, since the cluster wrote it: status, metadata.managedFields, "
        "metadata.resourceVersion, metadata.uid" in said
    )


def test_the_label_is_replaced_wherever_pods_come_from(convert: Run) -> None:
    """In templates of any kind, in a KServe predictor's labels, and in what selects by it."""
    serving = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "llm"},
        "spec": {"predictor": {"labels": {THEIRS: "demo"}, "model": {"modelFormat": {}}}},
    }
    service = SERVICE | {"spec": {"selector": {THEIRS: "demo"}}}
    code, made, said = convert(deployment(), serving, service)
    assert code == 0
    assert THEIRS not in str(made)
    assert str(made).count(contract.LABEL) == 3
    assert "Deployment 'server': spec.template.metadata.labels: validation.rhtas" in said
    assert "InferenceService 'llm': spec.predictor.labels: validation.rhtas" in said


def test_a_fixed_selector_is_pointed_out(convert: Run) -> None:
    """The API server would refuse the changed Deployment in a sentence that does not help."""
    code, (made,), said = convert(deployment(selector={"matchLabels": {THEIRS: "demo"}}))
    assert made["spec"]["selector"] == {"matchLabels": {contract.LABEL: "demo"}}
    assert code == 1
    assert "a Deployment's selector cannot be changed: delete it before you apply" in said


@pytest.mark.parametrize(
    ("labels", "left", "said"),
    [
        ({THEIRS: ""}, {}, "it is empty, which asks the operator for nothing"),
        ({THEIRS: "true"}, {contract.LABEL: "true"}, "by hand: the label at metadata.labels names"),
        ({THEIRS: "a", contract.LABEL: "a"}, {contract.LABEL: "a"}, "metadata.labels: "),
        (
            {THEIRS: "a", contract.LABEL: "b"},
            {THEIRS: "a", contract.LABEL: "b"},
            "by hand: metadata.labels has both labels, and they differ",
        ),
    ],
)
def test_labels_that_do_not_fit(labels: Document, left: Document, said: str, convert: Run) -> None:
    """Each with what it meant to the operator."""
    code, (made,), err = convert(pod(metadata={"labels": labels}))
    assert made["metadata"]["labels"] == left
    assert said in err
    assert code == ("by hand" in said)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            pod(metadata={"annotations": {f"{DOMAIN}/ignore-paths": "/data/model/a"}}),
            "write it into its policy, spec.model.ignorePaths",
        ),
        (
            pod(metadata={"annotations": {f"{DOMAIN}/ignore-git-paths": "false"}}),
            "write it into its policy, spec.model.ignoreGitPaths",
        ),
        (
            pod(metadata={"annotations": {f"{DOMAIN}/ignore-unsigned-files": "true"}}),
            "write it into its policy, spec.model.ignoreUnsignedFiles",
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "x", "labels": {f"{DOMAIN}/ignore": "true"}},
            },
            "the namespace's label validation.ml.sigstore.dev/ignore has no effect here",
        ),
        (
            {"apiVersion": "ml.sigstore.dev/v1alpha1", "kind": "TelemetryConfig", "spec": {}},
            "ml.sigstore.dev/v1alpha1 TelemetryConfig has no equivalent, and is as it was",
        ),
        (
            {"apiVersion": "ml.sigstore.dev/v1beta9", "kind": "ModelValidation", "spec": {}},
            "ml.sigstore.dev/v1beta9 ModelValidation is not known, and is as it was",
        ),
        (
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "r"},
                "rules": [{"apiGroups": ["ml.sigstore.dev"], "resources": ["modelvalidations"]}],
            },
            "the operator's name ml.sigstore.dev stands at rules[0].apiGroups[0] as well",
        ),
        (
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "n"},
                "spec": {"podSelector": {"matchExpressions": [{"key": THEIRS}] * 12}},
            },
            "spec.podSelector.matchExpressions[9].key and 2 more as well",
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value[:20],
)
def test_what_has_no_equivalent_is_said(document: Document, said: str, convert: Run) -> None:
    """It is printed as it was, with a sentence and exit code 1."""
    code, (made,), err = convert(document)
    assert code == 1
    assert said in err
    assert (made.get("spec"), made.get("rules")) == (document.get("spec"), document.get("rules"))
    assert made.get("metadata", {}).get("annotations") == document.get("metadata", {}).get(
        "annotations"
    )
    assert "left to do by hand: 1" in err


def test_a_pod_out_of_the_cluster_can_be_deleted_later(convert: Run) -> None:
    """Only the operator takes its finalizer off; its notes about the pod go with it."""
    given = pod(
        metadata={
            "labels": {THEIRS: "demo"},
            "finalizers": [f"{DOMAIN}/finalizer", "example.com/other"],
            "annotations": {f"{DOMAIN}/{key}": "x" for key in ("injected-at", "config-hash")},
        }
    )
    code, (made,), _ = convert(given)
    assert code == 0
    assert made["metadata"]["finalizers"] == ["example.com/other"]
    assert made["metadata"]["annotations"] == {}


@pytest.mark.parametrize(
    "spec", [None, 7, {"model": 7, "config": []}, {"config": {"pkiConfig": 1}}]
)
def test_a_policy_of_another_form_is_kept_and_said(spec: Any, convert: Run) -> None:
    """No traceback; our parser's sentence says what is wrong."""
    code, (made,), said = convert(policy() | {"spec": spec})
    assert (code, made["spec"]) == (1, spec)
    assert "by hand: as it is, it is refused: " in said


def test_nothing_to_convert_is_exit_code_2(
    convert: Run, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty stream, a file that is not there, and a file that holds no manifest."""
    assert convert()[0] == 2
    (tmp_path / "values.yaml").write_text("a: 1\n")
    assert main(["convert", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml cannot be read: No such file or directory" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "values.yaml")]) == 2
    assert "values.yaml: expected Kubernetes manifests" in capsys.readouterr().err


def test_files_become_one_stream(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which they are named."""
    for name, document in (("a", policy()), ("b", pod())):
        (tmp_path / name).write_text(yaml.safe_dump(document))
    assert main(["convert", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [each["kind"] for each in made] == ["ModelValidation", "Pod"]


def test_mutate_says_that_a_stream_is_not_converted(admitted: Run) -> None:
    """Policy and pod of the operator are not taken for ours, and not passed over in silence."""
    code, _, said = admitted(policy(), pod())
    assert code == 0
    assert "ModelValidation 'demo': not read, since its apiVersion is 'ml.sigstore.dev/" in said
    assert "Pod 'server': left alone: " in said
    assert "but the operator's, validation.ml.sigstore.dev/ml: `python -m webhook convert`" in said


def test_the_page_shows_what_is_done(convert: Run) -> None:
    """The two resources in the page on moving are one before and after conversion."""
    theirs, ours = (
        yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    )
    assert convert(theirs)[1] == [ours]
