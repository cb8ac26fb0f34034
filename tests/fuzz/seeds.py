"""Honest input for each target; where the search starts."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509

from tests.sigstore import PrivateSigstore
from tests.sigstore.authority import Identity
from tests.support import cluster_rules, observed, pods, policies
from tests.support.certificates import Party, Profile
from tests.support.signed_model import (
    Signer,
    legacy_statement,
    sharded,
    statement,
    statement_of,
)
from tests.support.webhook_process import review
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOW = Identity(
    "https://github.com/team/granite/.github/workflows/sign.yaml@refs/heads/main",
    claims={2: "push", 5: "team/granite", 12: "https://github.com/team/granite"},
)
USER = Identity("alice!example.com")


def seeds() -> Iterator[tuple[str, str, bytes]]:
    """Yield target, name and content of each honest input."""
    with PrivateSigstore.start() as sigstore:
        rekor = {n: sigstore.sign_statement(statement(), rekor=n) for n in (1, 2)}
        user = sigstore.sign_statement(statement(), identity=USER, flavour="0.2")
        workflow = json.loads(sigstore.sign_statement(statement(), identity=WORKFLOW))
        yield "anchor", "trusted-root", sigstore.trusted_root_json.encode()
    root = Party.root()
    material = json.loads(rekor[2])["verificationMaterial"]
    (stamp,) = material["timestampVerificationData"]["rfc3161Timestamps"]
    yield "bundle", "rekor-1", rekor[1].encode()
    yield "bundle", "rekor-2", rekor[2].encode()
    yield "bundle", "user-name", user.encode()
    yield "bundle", "url-alphabet", _in_the_url_alphabet(rekor[2]).encode()
    yield "bundle", "key", Signer().bundle(statement())
    yield "bundle", "certificate", root.issue().bundle(statement(), root)
    yield "timestamp", "honest", base64.b64decode(stamp["signedTimestamp"])
    leaf = workflow["verificationMaterial"]["certificate"]["rawBytes"]
    yield "certificate", "workflow", base64.b64decode(leaf)
    yield "certificate", "leaf", root.issue(profile=_PROFILE).der
    yield "certificate", "authority", root.der
    yield "anchor", "key", Signer().public_pem
    yield "anchor", "authority", root.pem
    for name, document in _statements():
        yield "statement", name, json.dumps(document).encode()
    for name, document in _policies():
        yield "policy", name, yaml.safe_dump_all(document).encode()
    for name, document in _reviews():
        yield "pod_review", name, json.dumps(document).encode()
    for name, pod in _pods():
        yield "report", name, json.dumps(pod).encode()
        ended = pod["status"]["initContainerStatuses"][0]["state"]["terminated"]
        yield "report", f"{name}-message", ended["message"].encode()
    for number, line in enumerate(_LINES):
        yield "command_line", str(number), "\0".join(line).encode()


def _in_the_url_alphabet(bundle: str) -> str:
    """Return a bundle whose material is without padding in the other alphabet of base64."""
    document = json.loads(bundle)
    material = json.dumps(document["verificationMaterial"])
    recoded = re.sub(
        r'"[A-Za-z0-9+/]{40,}={0,2}"',
        lambda found: found[0].translate(str.maketrans("+/", "-_", "=")),
        material,
    )
    return json.dumps(document | {"verificationMaterial": json.loads(recoded)})


_PROFILE = Profile(
    names=(
        x509.RFC822Name("a@example.com"),
        x509.DNSName("example.com"),
        x509.UniformResourceIdentifier("https://example.com/x"),
        x509.DirectoryName(x509.Name([])),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x01a"),
    ),
    extensions=((x509.NameConstraints([x509.DNSName("example.com")], None), True),),
    path_length=None,
    key_ids=True,
)


def _statements() -> Iterator[tuple[str, Any]]:
    yield "files", statement()
    yield "ignored", statement(ignore_paths=["model.sig", ".git"], allow_symlinks=True)
    shards = sharded("a.bin", b"a" * 1500, 1000, hash_="blake2b")
    yield (
        "shards",
        statement_of(shards, method="shards", shard_size=1000, hash_type="blake2b"),
    )
    yield "before-1.0", legacy_statement()


def _policies() -> Iterator[tuple[str, Any]]:
    yield "key", [policies.policy_document()]
    yield (
        "restart",
        [
            policies.policy_document(
                onRestart="Verify",
                mode="Audit",
                revalidation={"interval": "10m", "action": "Stop"},
                model={"digests": ["sha256:" + "ab" * 32, "statement:sha256:" + "cd" * 32]},
            )
        ],
    )
    yield (
        "cluster",
        [
            cluster_rules.rule_document(
                namespaceSelector={"matchLabels": {"team": "llm"}},
                workload={"arguments": "Strict", "images": [pods.DIGEST]},
            )
        ],
    )
    yield (
        "root",
        [
            policies.policy_document(
                config={"privateKeyConfig": {"trustRootRef": {"name": "signer"}}}
            ),
            {
                "apiVersion": contract.API_VERSION,
                "kind": "TrustRoot",
                "metadata": {"name": "signer"},
                "spec": {"publicKey": policies.KEY},
            },
        ],
    )
    yield (
        "keyless",
        [
            policies.policy_document(
                config={
                    "anyOf": [
                        {
                            "sigstoreConfig": {
                                "certificateIdentityRegexp": ".*@example\\.com",
                                "certificateOidcIssuer": "https://issuer.example",
                                "githubWorkflow": {"repository": "team/granite"},
                            }
                        },
                        {
                            "pkiConfig": {
                                "certificateAuthorities": "PEM",
                                "certificateIdentity": "CN=a",
                            }
                        },
                    ]
                },
                revalidation={"interval": "1h"},
                resources={"limits": {"cpu": "1", "memory": "1Gi"}},
                workload={"arguments": "Strict", "images": [pods.DIGEST]},
            )
        ],
    )


def _pods() -> Iterator[tuple[str, Any]]:
    """Yield pods whose gates have ended, as the API server has them."""
    pod = observed.gated(
        ownerReferences=[
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "llm", "uid": "1"}
            | {"controller": True}
        ]
    )
    verified = observed.ended(pod, [observed.verified()])
    yield "verified", verified
    yield "refused", observed.ended(pod, [observed.refused()], code=1)
    yield "unready", observed.with_monitor(verified, ready=False)


def _reviews() -> Iterator[tuple[str, Any]]:
    for label in ("granite", "strict"):
        asked = pods.pod()
        asked["metadata"]["labels"] = dict.fromkeys(asked["metadata"]["labels"], label)
        yield label, review(asked, namespace="team")
    restarting = pods.pod()
    restarting["metadata"]["labels"] = dict.fromkeys(restarting["metadata"]["labels"], "strict")
    rules = [
        {
            "action": "RestartAllContainers",
            "exitCodes": {"operator": "NotIn", "values": [0]},
        }
    ]
    container = restarting["spec"]["containers"][0]
    container |= {"restartPolicy": "Never", "restartPolicyRules": rules}
    container["livenessProbe"] = {"httpGet": {"path": "/health", "port": 8000}}
    yield "restart-rules", review(restarting, namespace="team")
    mutated = pods.mutated(pods.pod())
    yield "again", review(mutated, namespace="team")


_LINES = [
    ["vllm", "serve", "/models/granite", "--served-model-name=granite", "--max-model-len", "1k"],
    ["vllm", "serve", "$(A)", "--hf-overrides.a.b=1", "--lora-modules", "a=/models/granite/a"],
    ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "/models/granite"],
    ["sh", "-c", "exec vllm serve /models/granite -tp 2", '--speculative-config={"model":"/x"}'],
]
