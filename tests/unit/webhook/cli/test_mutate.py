from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
import yaml

from validator.vllm.options import TABLE
from webhook.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

LABEL = "validation.rhtas.redhat.com/ml"
POLICY = """
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite, namespace: models}
spec:
  model: {path: /models/granite, volume: {persistentVolumeClaim: {claimName: models}}}
  config: {privateKeyConfig: {publicKey: PEM}}
"""


def deployment(**labels: str) -> dict[str, Any]:
    """Return a Deployment whose pods carry the labels."""
    container = {"name": "vllm", "image": "vllm:1", "args": ["--model", "/models/granite"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llm", "namespace": "models"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "llm"} | labels},
                "spec": {"containers": [container]},
            }
        },
    }


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "llm"}}


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on documents; return exit code, standard output and standard error."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "granite.yaml").write_text(POLICY)

    def command(*documents: Any, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        path = tmp_path / "manifest.yaml"
        path.write_text(yaml.safe_dump_all(documents))
        policies = str(tmp_path / "policies")
        code = main(["mutate", str(path), "--policies", policies, *options])
        return code, *capsys.readouterr()

    return command


def test_the_diff_shows_what_is_added(run: Run) -> None:
    """Only what changes is shown, in lines that fit a screen, and who decided."""
    code, out, err = run(deployment(**{LABEL: "true"}), SERVICE)
    assert code == 0
    assert "+        - name: model-validation\n" in out
    assert not [line for line in out.splitlines() if line.startswith("-") and line[:3] != "---"]
    assert max(map(len, out.splitlines())) < 200
    assert "\x1b[" not in out
    assert "Deployment 'llm': admitted under ModelValidation models/granite (Enforce)" in err


def test_the_version_of_kubernetes_is_told(run: Run, tmp_path: Path) -> None:
    """What needs a certain one is left out with a warning, until it is named."""
    policies = tmp_path / "policies" / "granite.yaml"
    policies.write_text(f"{POLICY}  onRestart: Verify\n")
    code, out, err = run(deployment(**{LABEL: "true"}))
    assert (code, "RestartAllContainers" in out) == (0, False)
    assert "the API server is of an unknown version" in err
    for version, verified in (("v1.36.3", True), ("1.35", False)):
        code, out, err = run(deployment(**{LABEL: "true"}), options=("--kubernetes", version))
        assert (code, "RestartAllContainers" in out) == (0, verified)
        assert ("the API server is Kubernetes 1.35" in err) != verified
    with pytest.raises(SystemExit):
        run(deployment(), options=("--kubernetes", "new"))


def test_yaml_can_be_applied_as_it_is(run: Run) -> None:
    """The other documents stay, and the mutated one is whole; done twice, nothing changes."""
    code, out, _ = run(deployment(**{LABEL: "true"}), SERVICE, options=("--output", "yaml"))
    assert code == 0
    made, service = yaml.safe_load_all(out)
    assert service == SERVICE
    spec = made["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["initContainers"]] == ["model-validation"]
    assert "&" not in out
    code, again, _ = run(made, service, options=("--output", "yaml"))
    assert code == 0
    assert list(yaml.safe_load_all(again)) == [made, service]
    assert run(made, service)[1] == ""


def test_reads_what_other_programs_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A byte order mark, Windows' line ends, comments alone, a list, anchors and merge keys."""
    text = (
        f"# Source: chart\n---\n# nothing\n---{POLICY}---\napiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: llm, namespace: models}\n"
        f"  spec: {{template: {{metadata: {{labels: &l {{{LABEL}: 'true'}}}}, spec: "
        "&s {containers: [{name: v, image: 'vllm/vllm-openai:v0.32.0', "
        "args: [--model, /models/granite]}]}}}\n"
        "- {kind: Pod, metadata: {name: p, namespace: models, labels: {<<: *l}}, spec: *s}\n"
    )
    path = tmp_path / "manifest.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert main(["mutate", str(path), "--output", "yaml"]) == 0
    out, err = capsys.readouterr()
    assert "Deployment 'llm': admitted" in err
    assert "Pod 'p': admitted" in err
    _, deployed, pod = yaml.safe_load_all(out)
    assert pod["spec"] == deployed["spec"]["template"]["spec"]
    assert len(pod["spec"]["initContainers"]) == 1


def test_a_patch_is_of_one_manifest(run: Run) -> None:
    """Two patches in a row would be no patch."""
    document = deployment(**{LABEL: "true"})
    code, out, err = run(document, document, options=("--output", "patch"))
    assert (code, out) == (2, "")
    assert "--output patch takes one manifest, and here are 2" in err


def test_json_and_patch_are_for_programs(run: Run) -> None:
    """The patch, applied by somebody else's code, gives the JSON."""
    document = deployment(**{LABEL: "true"})
    code, patch, _ = run(document, options=("--output", "patch"))
    assert code == 0
    _, made, _ = run(document, options=("--output", "json"))
    assert jsonpatch.apply_patch(document, json.loads(patch)) == json.loads(made)
    _, listed, _ = run(document, SERVICE, options=("--output", "json"))
    assert json.loads(listed)["kind"] == "List"


def test_a_refusal_is_exit_code_1(run: Run) -> None:
    """The sentence says why, and half of the manifests is not printed as if it were all."""
    documents = deployment(**{LABEL: "no-such"}), deployment(**{LABEL: "true"})
    for form in ("diff", "yaml", "json"):
        code, out, err = run(*documents, options=("--output", form))
        assert code == 1
        assert "Deployment 'llm': refused: the namespace 'models' has no ModelValidation" in err
        assert bool(out) == (form == "diff")


def test_where_there_is_no_pod_it_says_so(run: Run) -> None:
    """Exit code 2: a manifest that was not understood must not look like one that is fine."""
    config = SERVICE | {"kind": "ConfigMap"}
    code, out, err = run(SERVICE, config, SERVICE)
    assert (code, out) == (2, "")
    assert "no manifest with a pod or a pod template; there is only 1 ConfigMap, 2 Service" in err
    assert "there is nothing at all" in run()[2]
    code, _, err = run(deployment(), SERVICE, config)
    assert code == 0
    assert "skipped, without a pod template: 1 ConfigMap, 1 Service" in err


def leader_worker_set(name: str = "LeaderWorkerSet") -> dict[str, Any]:
    """Return a kind with two pod templates, of which the second is labelled."""
    template = deployment(**{LABEL: "true"})["spec"]["template"]
    leader = json.loads(json.dumps(template | {"metadata": {}}))
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": name,
        "metadata": {"name": "llm", "namespace": "models"},
        "spec": {"leaderWorkerTemplate": {"leaderTemplate": leader, "workerTemplate": template}},
    }


def test_any_kind_with_pod_templates_is_read(run: Run) -> None:
    """Each template is judged, and named where there are several."""
    code, out, err = run(leader_worker_set(), options=("--output", "yaml"))
    assert code == 0
    made = yaml.safe_load(out)["spec"]["leaderWorkerTemplate"]
    assert "initContainers" not in made["leaderTemplate"]["spec"]
    assert made["workerTemplate"]["spec"]["initContainers"][0]["name"] == "model-validation"
    assert "spec.leaderWorkerTemplate.leaderTemplate: left alone" in err
    assert "spec.leaderWorkerTemplate.workerTemplate: admitted under" in err


def test_one_refused_template_refuses_the_manifest(run: Run) -> None:
    """Half of a manifest is not shown."""
    document = leader_worker_set()
    worker = document["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    broken = json.loads(json.dumps(worker))
    broken["metadata"]["labels"][LABEL] = "no-such"
    document["spec"]["leaderWorkerTemplate"]["workerTemplate"] = broken
    code, out, err = run(document, options=("--output", "yaml"))
    assert (code, out) == (1, "")
    assert "workerTemplate: refused: the namespace 'models' has no ModelValidation" in err


def test_policies_may_come_with_the_manifests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from `kubectl kustomize`: policies, a namespace with its labels, and the workload."""
    other = yaml.safe_load(POLICY) | {"metadata": {"name": "other", "namespace": "models"}}
    pinned = {"validation.rhtas.redhat.com/policy": "other"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "models", "labels": pinned},
    }
    stream = [deployment(**{LABEL: "true"}), namespace, yaml.safe_load(POLICY), other]
    path = tmp_path / "stream.yaml"
    path.write_text(yaml.safe_dump_all(stream))
    assert main(["mutate", str(path)]) == 0
    said = capsys.readouterr().err
    assert "admitted under ModelValidation models/other (Enforce)" in said
    assert "skipped" not in said


def document(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return one of our documents of the whole cluster."""
    version = "rhtas.redhat.com/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_roots_of_trust_are_read_beside_the_policies(run: Run, tmp_path: Path) -> None:
    """From the directory or from the manifests; one that is missing is exit code 2."""
    named = POLICY.replace("{publicKey: PEM}", "{trustRootRef: {name: corp}}")
    (tmp_path / "policies" / "granite.yaml").write_text(named)
    given = deployment(**{LABEL: "true"})
    code, _, err = run(given)
    assert code == 2
    assert "ModelValidation models/granite: privateKeyConfig.trustRootRef: the TrustRoot" in err
    for key in ("among the manifests", "in the directory"):
        root = document("TrustRoot", "corp", publicKey=key)
        beside = [root] if key == "among the manifests" else []
        (tmp_path / "policies" / "root.yaml").write_text("" if beside else yaml.safe_dump(root))
        code, out, err = run(given, *beside, options=("--output", "json"))
        assert code == 0, err
        assert key in out
        assert "skipped" not in err


def test_an_exempt_workload_is_said_to_be_so(run: Run) -> None:
    """By the name of the workload whose template it is, while the exemption lasts."""
    given = deployment(**{LABEL: "true"})
    digest = "sha256:" + "1" * 64
    given["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.example/vllm@{digest}"
    exempt = {
        "namespace": "models",
        "workload": {"kind": "Deployment", "name": "llm"},
        "images": [digest],
        "requestedBy": "jane",
        "reason": "a migration",
    }
    for expires, mode, said in (
        ("2099-01-01T00:00:00Z", "Audit", "the pod is exempt by the ModelValidationExemption 'x'"),
        ("2001-01-01T00:00:00Z", "Enforce", "the ModelValidationExemption 'x' of this workload en"),
    ):
        made = document("ModelValidationExemption", "x", **exempt, expires=expires)
        code, _, err = run(given, made)
        assert code == 0, err
        assert f"admitted under ModelValidation models/granite ({mode})" in err
        assert said in err
        assert "skipped" not in err


def test_rules_of_the_cluster_hold_beside_the_policies(run: Run, tmp_path: Path) -> None:
    """From the directory or the manifests, where they select the namespace by its labels."""
    key = {"config": {"privateKeyConfig": {"publicKey": "PEM of all"}}}
    given = deployment(**{LABEL: "true"})
    everywhere = document("ClusterModelValidation", "company", **key)
    code, out, err = run(given, everywhere, options=("--output", "json"))
    assert code == 0, err
    assert "beside it hold rules of the cluster: 'company'" in err
    assert "alsoRequired" in out
    assert "PEM of all" in out
    selector = {"matchLabels": {"stage": "prod"}}
    prod = document("ClusterModelValidation", "prod", **key, namespaceSelector=selector)
    (tmp_path / "policies" / "rule.yaml").write_text(yaml.safe_dump(prod))
    code, _, err = run(given)
    assert code == 1
    assert "the labels of the namespace 'models' are not known" in err
    for stage, held in (("prod", True), ("test", False)):
        metadata = {"name": "models", "labels": {"stage": stage}}
        code, _, err = run(given, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        assert code == 0, err
        assert ("'prod'" in err) is held


def test_a_rule_serves_a_namespace_without_a_policy(run: Run) -> None:
    """Under its own name."""
    volume = {"persistentVolumeClaim": {"claimName": "models"}}
    serving = document(
        "ClusterModelValidation",
        "company",
        config={"privateKeyConfig": {"publicKey": "PEM"}},
        default=True,
        model={"path": "/models/granite", "volume": volume},
    )
    given = deployment(**{LABEL: "true"})
    given["metadata"]["namespace"] = "other"
    code, _, err = run(given, serving)
    assert code == 0, err
    assert "admitted under ClusterModelValidation company (Enforce)" in err


def test_a_broken_policy_among_the_manifests_is_exit_code_2(run: Run) -> None:
    """With the policy's own sentence."""
    policy = yaml.safe_load(POLICY)
    del policy["spec"]["config"]
    code, _, err = run(deployment(**{LABEL: "true"}), policy)
    assert code == 2
    assert "manifest.yaml" in err


def test_the_namespace_can_be_given(run: Run) -> None:
    """An option overrides the manifest's namespace; policies of others are not seen there."""
    code, _, err = run(deployment(**{LABEL: "true"}), options=("--namespace", "other"))
    assert code == 1
    assert "the namespace 'other'" in err


def test_an_unlabelled_pod_is_left_alone(run: Run) -> None:
    """Nothing is printed but the reason."""
    code, out, err = run(deployment())
    assert (code, out) == (0, "")
    assert "left alone: its pods do not carry the label" in err


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"labels": {"validation.rhtas.redhat.com/nl": "true"}}, "/nl' was probably meant to be"),
        ({"labels": {"validation.redhat.com/ml": "true"}}, "was probably meant to be it"),
        ({"annotations": {LABEL: "true"}}, "it is an annotation of theirs, which asks for nothing"),
        ({"labels": {"app.kubernetes.io/name": "llm"}}, f"do not carry the label {LABEL}\n"),
        ({"annotations": 7}, f"do not carry the label {LABEL}\n"),
    ],
)
def test_what_was_probably_meant_to_be_the_label_is_named(
    run: Run, metadata: dict[str, Any], said: str
) -> None:
    """A pod without its gate must not look like one that is fine."""
    document = deployment()
    document["spec"]["template"]["metadata"] = metadata
    code, out, err = run(document)
    assert (code, out) == (0, "")
    assert said in err


def test_a_label_on_the_workload_is_pointed_out(run: Run) -> None:
    """The most common mistake: pods do not inherit their Deployment's labels."""
    document = deployment()
    document["metadata"]["labels"] = {LABEL: "true"}
    _, _, err = run(document)
    assert "put it on spec.template.metadata.labels" in err


def test_arguments_that_cannot_be_read_are_listed(run: Run) -> None:
    """A shell hides what will be opened; that is said."""
    document = deployment(**{LABEL: "true"})
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["command"] = ["/bin/sh", "-c", "vllm serve $MODEL"]
    _, _, err = run(document)
    assert "not read: " in err or "warning: " in err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not YAML"),
        ("- 7", "expected Kubernetes manifests"),
        ("kind: Deployment", "has no spec.template.spec"),
        ("a: &x [*x]", "an alias stands within what it names"),
    ],
)
def test_a_bad_manifest_is_exit_code_2(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    """One sentence with the file's name, no traceback."""
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert main(["mutate", str(path), "--policies", str(tmp_path / "policies")]) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert "bad.yaml" in err
    assert main(["mutate", str(tmp_path / "missing"), "--policies", str(tmp_path)]) == 2
    assert run(SERVICE, SERVICE, options=("--output", "patch"))[0] == 2


def test_a_gate_command_must_be_absolute(run: Run) -> None:
    """A program that is looked up in PATH is a usage error."""
    with pytest.raises(SystemExit) as caught:
        run(SERVICE, options=("--gate-command", "python -m validator"))
    assert caught.value.code == 2
    options = ("--gate-command", "/bin/python -m validator")
    assert run(deployment(), options=options)[0] == 0


def test_a_label_that_is_not_text_is_said_to_be_so(run: Run) -> None:
    """`ml: true` without quotes is a boolean, which no label can be."""
    labelled = deployment()
    labelled["spec"]["template"]["metadata"]["labels"][LABEL] = True
    code, out, err = run(labelled)
    assert (code, out) == (2, "")
    assert f'the label {LABEL} must be text: write "true"' in err


def test_a_reader_that_leaves_gets_no_traceback(run: Run, tmp_path: Path) -> None:
    """As `head` does."""
    run(deployment(**{LABEL: "true"}))  # which leaves both files
    command = [sys.executable, "-m", "webhook", "mutate", str(tmp_path / "manifest.yaml")]
    with subprocess.Popen(
        [*command, "--policies", str(tmp_path / "policies")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
    assert said.splitlines() == [
        "Deployment 'llm': admitted under ModelValidation models/granite (Enforce)",
        f"Deployment 'llm': vLLM's arguments are read as {TABLE.reading} would read them",
    ]
    assert process.returncode == 1


def test_a_manifest_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, as for all that the command is given wrongly."""
    (tmp_path / "policies").mkdir()
    missing = tmp_path / "missing.yaml"
    assert main(["mutate", str(missing), "--policies", str(tmp_path / "policies")]) == 2
    assert f"{missing} cannot be read: No such file or directory" in capsys.readouterr().err
