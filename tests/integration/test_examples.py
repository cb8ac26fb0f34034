"""The examples, as far as they go without a cluster: the model, its signature and the policies."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"


def documents(name: str) -> dict[str, dict[str, Any]]:
    """Return an example's objects by kind; none has two of a kind."""
    found = list(yaml.safe_load_all((EXAMPLES / name).read_text()))
    by_kind = {document["kind"]: document for document in found}
    assert len(by_kind) == len(found)
    return by_kind


def written(folder: Path) -> Path:
    """Write the example's model as its init container does, and its policy; return the model."""
    example = documents("labelled-pod.yaml")
    (folder / "policy.yaml").write_text(yaml.safe_dump(example["ModelValidation"]))
    model = folder / "tiny"
    model.mkdir()
    for name, text in example["ConfigMap"]["data"].items():
        (model / name).write_text(text)
    for name, content in example["ConfigMap"]["binaryData"].items():
        (model / name).write_bytes(base64.b64decode(content))
    return model


def verified(policy: Path, model: Path) -> tuple[int, str]:
    """Return the validator's exit code, and what it says."""
    command = [
        sys.executable,
        "-m",
        "validator",
        "verify",
        "policy",
        str(policy),
        "--model",
        str(model),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return ran.returncode, ran.stdout + ran.stderr


def test_the_examples_model_is_signed_by_whom_its_policy_names(tmp_path: Path) -> None:
    """As it is shipped; where this fails, run scripts/sign_example.py."""
    model = written(tmp_path)
    code, text = verified(tmp_path / "policy.yaml", model)
    assert (code, "Verification succeeded" in text) == (0, True), text
    (model / "config.json").write_text("{}")
    code, text = verified(tmp_path / "policy.yaml", model)
    assert (code, "config.json" in text) == (1, True)


def test_the_jobs_policy_is_one(tmp_path: Path) -> None:
    """It is understood, and refuses what its signer has not signed."""
    model = written(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(documents("standalone-job.yaml")["ConfigMap"]["data"]["policy.yaml"])
    code, text = verified(policy, model)
    assert (code, "Verification failed" in text) == (1, True), text


def test_the_jobs_arguments_name_the_policy_where_it_is_mounted() -> None:
    """The ConfigMap's key, below the mount of its volume."""
    job = documents("standalone-job.yaml")
    spec = job["Job"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (volume,) = [each for each in spec["volumes"] if "configMap" in each]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
    assert volume["configMap"]["name"] == job["ConfigMap"]["metadata"]["name"]
    (key,) = job["ConfigMap"]["data"]
    assert container["args"] == ["verify", "policy", f"{mount['mountPath']}/{key}"]
