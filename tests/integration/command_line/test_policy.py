"""`verify policy`: by a file for people, by the environment in the gate."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster_rules import rule, rule_document
from tests.support.signed_model import (
    Document,
    Signer,
    statement,
    write,
)
from validator import contract
from validator.policy.cluster_rules.resolution import resolve
from validator.policy.document import ModelValidation

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

from tests.support.desk import Desk, run


class TestPolicy:
    """`verify policy`: by a file for people, by the environment in the gate."""

    def test_a_file_is_verified(self, desk: Desk) -> None:
        """YAML or JSON, as `kubectl apply` takes it."""
        path = desk.folder / "policy.yaml"
        path.write_text(json.dumps(desk.policy()))
        ended = run("verify", "policy", path)
        assert ended.code == 0, ended.text
        assert ended.out.startswith("Verification succeeded")

    def test_a_file_has_the_roots_that_its_policy_names(self, desk: Desk) -> None:
        """By the root's key the model is verified; without the root nothing is."""
        named = desk.policy(config={"privateKeyConfig": {"trustRootRef": {"name": "corp"}}})
        root = {
            "apiVersion": contract.API_VERSION,
            "kind": "TrustRoot",
            "metadata": {"name": "corp", "generation": 7},
            "spec": {"publicKey": desk.key.read_text()},
        }
        path = desk.folder / "policy.yaml"
        path.write_text("\n---\n".join(map(json.dumps, (named, root))))
        ended = run("verify", "policy", "--format=json", path)
        assert ended.code == 0, ended.text
        assert json.loads(ended.out)["trustRoots"] == ["corp/7"]
        path.write_text(json.dumps(named))
        ended = run("verify", "policy", path)
        assert ended.code == 2
        assert "the TrustRoot 'corp' is not in this file: put it there" in ended.text
        ended = desk.gate(config={"privateKeyConfig": {"trustRootRef": {"name": "corp"}}})
        assert ended.code == 2
        assert "names the TrustRoot 'corp', which is not here" in ended.text

    def test_the_gates_environment_is_verified(self, desk: Desk) -> None:
        """JSON names the policy, its generation and its mode."""
        ended = desk.gate("--format", "json")
        document = json.loads(ended.out)
        assert ended.code == 0
        assert document["policy"] == "ModelValidation team/granite"
        assert (document["generation"], document["mode"]) == (3, "Enforce")
        assert document["verdict"] == document["models"][0]["verdict"] == "verified"
        assert "traceId" not in document

    def test_names_the_trace_of_its_pod(self, desk: Desk) -> None:
        """The pod's uid, as a trace's id is written: the webhook's spans are found by it."""
        environment = {
            contract.POLICY_VARIABLE: json.dumps(desk.policy()),
            contract.POD_UID_VARIABLE: "9f1c0d9e-3a51-4c2b-8f0e-6f6b1f3f4a10",
        }
        ended = run("verify", "policy", "--format=json", environment=environment)
        assert json.loads(ended.out)["traceId"] == "9f1c0d9e3a514c2b8f0e6f6b1f3f4a10"

    def test_rules_of_the_cluster_hold_beside_a_file(self, desk: Desk) -> None:
        """In another file: one that accepts the signer, and one that does not."""
        path, rules = desk.folder / "policy.json", desk.folder / "rules.json"
        path.write_text(json.dumps(desk.policy()))
        own = {"privateKeyConfig": {"publicKey": desk.site.signer.public_pem.decode()}}
        rules.write_text(json.dumps(rule_document(config=own)))
        ended = run("verify", "policy", path, rules, "--format", "json")
        assert ended.code == 0, ended.text
        assert json.loads(ended.out)["clusterRules"] == ["company"]
        other = {"privateKeyConfig": {"publicKey": Signer().public_pem.decode()}}
        rules.write_text(json.dumps(rule_document(config=other)))
        ended = run("verify", "policy", path, rules, "--format", "json")
        assert ended.code == 1
        said = json.loads(ended.out)
        assert said["code"] == "ClusterRule"
        assert "the ClusterModelValidation 'company' does not" in said["reason"]

    def test_a_gate_keeps_to_the_rules_of_its_document(self, desk: Desk) -> None:
        """What the webhook resolved; the verdict names the rule that refuses."""
        policy = ModelValidation.from_object(desk.policy(), source="policy")
        other = {"privateKeyConfig": {"publicKey": Signer().public_pem.decode()}}
        made = resolve(policy, [rule("company", config=other)])
        environment = {contract.POLICY_VARIABLE: made.to_environment()}
        ended = run("verify", "policy", "--format", "json", environment=environment)
        assert ended.code == 1
        assert json.loads(ended.out)["code"] == "ClusterRule"

    def test_a_path_that_leaves_its_volume_is_refused_in_a_gate(self, desk: Desk) -> None:
        """The workload may have another volume where the link leads; on a laptop there is none."""
        memory = "/dev/shm"  # noqa: S108 — a volume that is not the root
        if not os.path.ismount(memory):
            pytest.skip(f"{memory} is not a mount here")
        with tempfile.TemporaryDirectory(dir=memory) as volume:
            link = Path(volume) / "granite"
            link.symlink_to(desk.site.model)
            ended = desk.gate(model={"path": str(link)})
            assert ended.code == 1
            assert "out of the model's volume" in ended.text
            file = desk.folder / "policy.json"
            file.write_text(json.dumps(desk.policy(model={"path": str(link)})))
            assert run("verify", "policy", file).code == 0

    def test_a_link_in_the_place_of_a_mount_is_refused_in_a_gate(self, desk: Desk) -> None:
        """The workload's runtime would follow it; a folder is fine, and a path here has no gate."""
        memory = "/dev/shm"  # noqa: S108 — a volume that is not the root
        if not os.path.ismount(memory):
            pytest.skip(f"{memory} is not a mount here")
        with tempfile.TemporaryDirectory(dir=memory) as volume:
            place = Path(volume) / "vllm"
            environment = {
                contract.POLICY_VARIABLE: json.dumps(desk.policy()),
                contract.NESTED_VARIABLE: json.dumps({str(place): "/root/.cache/vllm"}),
            }
            place.mkdir()
            assert run("verify", "policy", environment=environment).code == 0
            place.rmdir()
            place.symlink_to(desk.site.model)
            ended = run("verify", "policy", environment=environment)
            assert ended.code == 1
            assert "a link on the way to '/root/.cache/vllm'" in ended.text

    @pytest.mark.parametrize("value", ["[", "[]", '{"/a": 1}'])
    def test_what_the_webhook_does_not_write_is_no_place_of_a_mount(
        self, desk: Desk, value: str
    ) -> None:
        """A gate that cannot read its task ends."""
        environment = {
            contract.POLICY_VARIABLE: json.dumps(desk.policy()),
            contract.NESTED_VARIABLE: value,
        }
        ended = run("verify", "policy", environment=environment)
        assert ended.code == 2
        assert "is not a JSON object of paths" in ended.err

    def test_a_file_does_not_listen_to_the_environment(self, desk: Desk) -> None:
        """A policy file named on the command line counts, and the gate's variables do not."""
        path = desk.folder / "policy.json"
        path.write_text(json.dumps(desk.policy()))
        environment = {contract.POLICY_VARIABLE: "{", contract.COVER_VARIABLE: "{"}
        assert run("verify", "policy", path, environment=environment).code == 0

    def test_the_model_may_lie_elsewhere_here(self, desk: Desk) -> None:
        """The policy speaks of the pod's paths; the signature moves with the model."""
        path = desk.folder / "policy.json"
        path.write_text(json.dumps(desk.policy(model={"path": "/models/granite"})))
        assert run("verify", "policy", path).code == 1
        assert run("verify", "policy", path, "--model", desk.site.model).code == 0

    def test_a_model_that_is_a_file_may_lie_elsewhere_here(self, desk: Desk) -> None:
        """Its signature lies beside it, in the pod and here."""
        model = {"path": "/models/a.gguf", "signaturePath": "/models/a.sig"}
        path = desk.folder / "policy.json"
        path.write_text(json.dumps(desk.policy(model=model)))
        here = write(desk.folder / "here", {"b.gguf": b"1"}) / "b.gguf"
        here.with_name("a.sig").write_bytes(desk.site.signer.bundle(statement({".": b"1"})))
        assert run("verify", "policy", path, "--model", here).code == 0
        path.write_text(json.dumps(desk.policy(model={"path": "/models/a"})))
        here.with_name("a.sig").rename(here.with_name("model.sig"))
        assert run("verify", "policy", path, "--model", here).code == 0

    def test_all_models_must_hold(self, desk: Desk) -> None:
        """Each is reported, the worst counts."""
        lora = write(desk.folder / "lora", {"a": b"1"})
        (lora / "model.sig").write_bytes(desk.site.signer.bundle(statement({"a": b"1"})))
        models = [{"path": str(desk.site.model)}, {"path": str(lora)}]
        ended = desk.gate(model=None, models=models)
        assert ended.code == 0
        assert ended.out.count("Verification succeeded") == 2
        (lora / "a").write_bytes(b"2")
        ended = desk.gate(model=None, models=models)
        assert ended.code == 1
        assert "Verification succeeded" in ended.out
        assert "Verification failed" in ended.out
        path = desk.folder / "policy.json"
        path.write_text(json.dumps(desk.policy(model=None, models=models)))
        ended = run("verify", "policy", path, "--model", lora)
        assert ended.code == 2
        assert "--model fits a policy of one model, and this one has 2" in ended.err

    def test_a_refusal_outweighs_what_is_undecided(self, desk: Desk) -> None:
        """In whichever order the models stand."""
        bad = write(desk.folder / "bad", {"a": b"1"})
        odd = desk.folder / ("x" * 250) / ("y" * 250)
        for paths in ((bad, odd), (odd, bad)):
            models = [{"path": str(path)} for path in paths]
            ended = desk.gate(model=None, models=models)
            assert ended.code == 1

    def test_a_pin_and_ignores_of_the_policy_count(self, desk: Desk) -> None:
        """As they stand in the policy, relative to the model."""
        write(desk.site.model, {"notes/a": b"", "extra": b""})
        model = {"path": str(desk.site.model), "ignorePaths": ["notes", "extra"]}
        assert desk.gate(model=model).code == 0
        ended = desk.gate(model=model | {"digests": ["sha256:" + "0" * 64]})
        assert ended.code == 1
        assert "it is not the pinned one" in ended.out

    @pytest.mark.parametrize(
        ("cover", "code", "said"),
        [
            ([], 0, "succeeded"),
            (["{model}"], 0, "succeeded"),
            (["{model}/config.json", "{model}/weights", "{model}/weights/"], 0, "succeeded"),
            (["{model}/extra"], 1, "the workload opens 'extra', which the signature does not"),
            (["{model}/weights/../extra"], 1, "the workload opens 'extra'"),
            (["{model}/../other"], 1, "which lies in no verified model"),
            (["{model}s"], 1, "which lies in no verified model"),
            (["/etc"], 1, "the workload opens '/etc', which lies in no verified model"),
            (["relative"], 1, "which lies in no verified model"),
            ("{", 2, "$MODEL_VALIDATION_COVER is not a JSON list of paths"),
            ({}, 2, "is not a JSON list of paths"),
            ([1], 2, "is not a JSON list of paths"),
            ("[" * 100_000, 2, "is not a JSON list of paths"),
        ],
    )
    def test_what_the_workload_opens_must_be_covered(
        self, desk: Desk, cover: object, code: int, said: str
    ) -> None:
        """The paths come from the webhook, beside the policy."""
        write(desk.site.model, {"extra": b""})
        if isinstance(cover, list):
            cover = [
                item.format(model=desk.site.model) if isinstance(item, str) else item
                for item in cover
            ]
        model = {"path": str(desk.site.model), "ignoreUnsignedFiles": True}
        ended = desk.gate(cover=cover, model=model)
        assert ended.code == code, ended.text
        assert said in ended.text

    @pytest.mark.parametrize(
        "spoil",
        [
            {"model": {"path": "/absent"}},
            {"config": {"privateKeyConfig": {"keyPath": "/absent"}}},
            {"config": {"privateKeyConfig": {"publicKey": "none"}}},
            {"cover": ["/elsewhere"]},
        ],
        ids=["no model", "no key", "not a key", "uncovered"],
    )
    def test_audit_reports_and_lets_pass(self, desk: Desk, spoil: dict[str, Any]) -> None:
        """Whatever the verdict would have been, the pod starts, and the log says why not."""
        enforced = desk.gate(**spoil)
        assert enforced.code in {1, 2, 3}
        audited = desk.gate(**spoil, mode="Audit")
        assert audited.code == 0
        assert "Verification failed: " in audited.out
        assert "is in Audit mode: let pass all the same" in audited.out
        document = json.loads(desk.gate("--format=json", **spoil, mode="Audit").out)
        assert document["mode"] == "Audit"
        assert document["verdict"] == document["models"][0]["verdict"] != "verified"
        assert document["reason"] == document["models"][0]["reason"]

    def test_audit_needs_a_policy_to_say_so(self) -> None:
        """A policy that cannot be read lets nothing pass."""
        broken = '{"spec": {"mode": "Audit"}}'
        ended = run("verify", "policy", environment={contract.POLICY_VARIABLE: broken})
        assert ended.code == 2

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({}, "config names no signing method or several"),
            (
                {
                    "privateKeyConfig": {"keyPath": "/k"},
                    "pkiConfig": {"certificateAuthority": "/c"},
                },
                "config names no signing method or several",
            ),
        ],
        ids=["none", "two"],
    )
    def test_a_policy_names_one_method(self, desk: Desk, config: Document, said: str) -> None:
        """None or two is a mistake of the policy."""
        ended = desk.gate(config=config)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err

    def test_keyless_policies_carry_their_root(
        self, desk: Desk, private_sigstore: PrivateSigstore
    ) -> None:
        """Identities as regular expressions, and alternatives of other methods."""
        desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
        signer = {
            "certificateIdentityRegexp": r"(alice|bob)@example\.com",
            "certificateOidcIssuer": private_sigstore.issuer,
        }
        key = {"privateKeyConfig": {"publicKey": desk.key.read_text()}}
        spec: Document = {
            "config": {"anyOf": [key, {"sigstoreConfig": signer}]},
            "trust": {"trustedRoot": private_sigstore.trusted_root_json},
        }
        ended = desk.gate(**spec)
        assert ended.code == 0, ended.text
        assert "signer: alice@example.com (sigstore)" in ended.out
