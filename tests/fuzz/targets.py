"""Everything that reads input from outside, each as a function of bytes.

A target returns, or raises what it must not: any error that is not one of ours, which a user
would see as a traceback or as "please report it".
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

import msgspec
import yaml
from prometheus_client import CollectorRegistry

from tests.support import policies
from tests.support.certificates import NOW, Party
from tests.support.observed import IMAGE, ended, gated, stored_policy
from tests.support.signed_model import PAYLOAD_TYPE, Signer, b64
from validator.bundle import Bundle, Method, parse_bundle
from validator.errors import ValidatorError
from validator.inspection import certificates
from validator.inspection.claims import claims
from validator.limits import DEFAULT
from validator.policy.cluster_rules.resolved import Requirement
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import FILE_LIMIT, ModelValidation
from validator.policy.files import read_policy
from validator.policy.trust_root import TrustRoot
from validator.policy.yaml_documents import load_all
from validator.signatures.certificate import CertificateVerifier, load_chain
from validator.signatures.key import KeyVerifier
from validator.signatures.keyless import Claims, Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot
from validator.statement import parse_statement
from webhook import review
from webhook.admission.reviewer import Reviewer
from webhook.errors import RequestError
from webhook.metrics import Metrics
from webhook.observe import openreports
from webhook.observe.pod.verdict import observed
from webhook.observe.pod.wire import Pod
from webhook.observe.policies import Known, known
from webhook.observe.status.policy import status
from webhook.settings import GateSettings
from webhook.sources.directory import DirectorySource
from webhook.vllm.check import check
from webhook.vllm.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.observed import Document
    from validator.signatures import Verifier

_EXPECTED: Final = Expected(identity="alice@example.com", issuer="https://issuer.example")


@cache
def _verifiers() -> Mapping[Method, Verifier]:
    return {
        Method.KEY: Signer().verifier,
        Method.CERTIFICATE: Party.root().verifier,
        Method.SIGSTORE: SigstoreVerifier(_EXPECTED, trusted_root=TrustedRoot.packaged()),
    }


def bundle(data: bytes) -> None:
    """Read a signature file, verify it by its method, and describe it."""
    with suppress(ValidatorError):
        _verified(parse_bundle(data, limits=DEFAULT))


def _verified(parsed: Bundle) -> None:
    claims(parsed, files=True)
    with suppress(ValidatorError):
        _verifiers()[parsed.method].verify(parsed, now=NOW, allow_legacy=True)


def certificate(data: bytes) -> None:
    """Read a certificate (DER) as a signer's, as an authority's, and as Fulcio's."""
    for chain in ((data,), (_leaf(), data)):
        parsed = Bundle(
            raw=b"",
            media_type="",
            method=Method.CERTIFICATE,
            payload=b"{}",
            payload_type=PAYLOAD_TYPE,
            signature=b"x",
            certificates=chain,
        )
        _verified(parsed)
    with suppress(ValidatorError):
        (read,) = load_chain((data,))
        certificates.workflow(read)
    _keyless({"certificate": {"rawBytes": b64(data)}})


@cache
def _leaf() -> bytes:
    return Party.root().issue().der


def timestamp(data: bytes) -> None:
    """Read an RFC 3161 timestamp."""
    _keyless({"timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(data)}]}})


def _keyless(material: Mapping[str, object]) -> None:
    document = json.loads(_honest())
    document["verificationMaterial"] |= material
    with suppress(ValidatorError):
        parsed = parse_bundle(json.dumps(document).encode(), limits=DEFAULT)
        Claims.of(parsed)
        _verified(parsed)


@cache
def _honest() -> str:
    return (Path(__file__).parent / "corpus/keyless.json").read_text()


def statement(data: bytes) -> None:
    """Read a signed payload."""
    with suppress(ValidatorError):
        parse_statement(data, payload_type=PAYLOAD_TYPE, limits=DEFAULT, allow_legacy=True)


def policy(data: bytes) -> None:
    """Read a policy file with its roots, and hand it to a gate; read rules of the cluster."""
    with suppress(ValidatorError):
        read = read_policy(data, source="file")
        assert ModelValidation.from_environment(read.to_environment()).spec == read.spec
    with suppress(ValidatorError):
        for document in load_all(data, source="file", limit=FILE_LIMIT):
            for read_object in (_rule, TrustRoot.from_object, _observed_policy):
                with suppress(ValidatorError):
                    read_object(document, source="file")


def _rule(document: object, *, source: str) -> None:
    Requirement.of(ClusterModelValidation.from_object(document, source=source))


def _observed_policy(document: object, *, source: str) -> None:
    if isinstance(document, dict):
        status(known(document), (), now=source)


def anchor(data: bytes) -> None:
    """Read a trust anchor of each kind, and verify by it."""
    with suppress(ValidatorError):
        _tried(KeyVerifier.from_pem(data, source="file"))
    with suppress(ValidatorError):
        _tried(CertificateVerifier.from_pem(data, source="file"))
    with suppress(ValidatorError):
        root = TrustedRoot.from_json(data, source="file")
        _tried(SigstoreVerifier(_EXPECTED, trusted_root=root))


def _tried(verifier: Verifier) -> None:
    verifier.verify(_signed()[verifier.method], now=NOW, allow_legacy=False)


@cache
def _signed() -> Mapping[Method, Bundle]:
    raws = (_honest().encode(), Signer().bundle(b"{}"), Party.root().issue().bundle(b"{}"))
    parsed = [parse_bundle(raw, limits=DEFAULT) for raw in raws]
    return {each.method: each for each in parsed}


def pod_review(data: bytes) -> None:
    """Answer an AdmissionReview on both paths, under each kind of policy."""
    try:
        asked = review.parse(data, content_type="application/json")
    except RequestError:
        return
    for answer in (_reviewer().mutate, _reviewer().validate):
        with suppress(RequestError):
            review.encode(_loop().run_until_complete(answer(asked)))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _reviewer() -> Reviewer:
    folder = Path(mkdtemp(prefix="fuzz-policies-"))
    lax = policies.policy_document("granite", namespace="team", default=True)
    strict = policies.policy_document(
        "strict", namespace="team", workload={"arguments": "Strict"}, onRestart="Verify"
    )
    (folder / "policies.yaml").write_text(yaml.safe_dump_all([lax, strict]))
    source = DirectorySource(folder, metrics=Metrics(CollectorRegistry()))
    source.load()
    return Reviewer(source=source, gate=GateSettings(image="registry.example/validator:1"))


def report(data: bytes) -> None:
    """Read what a gate has left, and a whole pod, for its policy's status and report."""
    text = data.decode(errors="replace")
    _observed(ended(_gated(), text=text))
    with suppress(ValueError, RecursionError):
        _observed(json.loads(text))


@cache
def _gated() -> Document:
    return gated()


def _observed(document: object) -> None:
    try:
        pod = msgspec.convert(document, Pod)
    except msgspec.ValidationError:
        return
    found = observed(pod, images=frozenset({IMAGE}))
    msgspec.json.encode(status(_known(), [found], now="2026-01-02T03:04:05Z"))
    msgspec.json.encode(openreports.report(_known(), [found]))


@cache
def _known() -> Known:
    return known(stored_policy())


def command_line(data: bytes) -> None:
    """Read a container's command and arguments, NUL-separated, as vLLM would."""
    texts = data.decode(errors="replace").split("\0")
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.32.0",
        "command": texts[:1],
        "args": texts[1:],
        "env": [{"name": "A", "value": texts[-1]}],
    }
    check(Reading(container=container), mounts_model=True, model_paths=("/models/granite",))


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "anchor": anchor,
    "bundle": bundle,
    "certificate": certificate,
    "command_line": command_line,
    "pod_review": pod_review,
    "policy": policy,
    "report": report,
    "statement": statement,
    "timestamp": timestamp,
}
