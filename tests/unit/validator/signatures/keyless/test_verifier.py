from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from sigstore import models
from sigstore import verify as library

from tests.sigstore.attacks import (
    ATTACKS,
    CRASHING,
    ENTRY,
    PROMISE,
    WRONG_PAYLOAD_TYPE,
    Attack,
    at,
    changed,
    put,
    without,
)
from tests.sigstore.authority import Identity
from tests.sigstore.log import Log
from tests.sigstore.private import ALICE, Flavour
from tests.support.signed_model import PAYLOAD_TYPE, Document, Site, statement
from validator.bundle import Method, parse_bundle
from validator.errors import BundleError, PolicyError, SignatureError, StatementError, Undecided
from validator.limits import DEFAULT
from validator.signatures.keyless import Claims, Expected, SigstoreVerifier
from validator.signatures.trusted_root import STAGING_URL, TrustedRoot
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore import PrivateSigstore
    from validator.signatures import Signed

    Judge = Callable[..., Signed]

BY_ALICE = Expected(identity=ALICE.name, issuer=ALICE.issuer)
WORKFLOW = Identity(
    "https://github.com/acme/models/.github/workflows/sign.yml@refs/heads/main",
    "https://token.actions.githubusercontent.com",
    {2: "push", 3: "c0ffee", 4: "Sign", 5: "acme/models", 6: "refs/heads/main"},
)


@pytest.fixture
def root(private_sigstore: PrivateSigstore) -> TrustedRoot:
    """The private Sigstore's trusted root."""
    raw = private_sigstore.trusted_root_json.encode()
    return TrustedRoot.from_json(raw, source="private")


@pytest.fixture
def judge(root: TrustedRoot) -> Judge:
    """Return what a verifier says of a bundle that Alice should have signed, or who is expected."""

    def signed(
        bundle: str, expected: Expected = BY_ALICE, *, trusting: TrustedRoot = root
    ) -> Signed:
        verifier = SigstoreVerifier(expected, trusted_root=trusting)
        parsed = parse_bundle(bundle.encode(), limits=DEFAULT)
        return verifier.verify(parsed, now=datetime.now(UTC), allow_legacy=False)

    return signed


@pytest.mark.parametrize("flavour", get_args(Flavour))
def test_an_honest_signature_says_who_signed_when_and_where(
    private_sigstore: PrivateSigstore, judge: Judge, flavour: Flavour
) -> None:
    """Each bundle version comes with identity, issuer, log index, time and root."""
    signed = judge(private_sigstore.sign_statement(b"payload", flavour=flavour))
    assert signed.payload == b"payload"
    assert signed.payload_type == PAYLOAD_TYPE
    signer = signed.signer
    assert (signer.method, signer.identity, signer.issuer) == (
        Method.SIGSTORE,
        ALICE.name,
        ALICE.issuer,
    )
    assert signer.log_index is not None
    assert signer.signed_at
    assert datetime.now(UTC) - signer.signed_at < timedelta(minutes=10)
    assert signer.trusted_root
    assert signer.trusted_root.startswith("sha256:")


def test_an_envelope_in_the_url_alphabet_verifies(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """DSSE lets a signer choose; the log's entry is the same."""

    def recoded(bundle: dict[str, Any]) -> None:
        envelope = bundle["dsseEnvelope"]
        for holder, name in ((envelope, "payload"), (envelope["signatures"][0], "sig")):
            holder[name] = holder[name].translate(str.maketrans("+/", "-_")).rstrip("=")

    payload = bytes(range(256))
    assert judge(private_sigstore.sign_statement(payload, edit=recoded)).payload == payload


@pytest.mark.parametrize("rekor", [1, 2])
def test_integers_may_be_numbers(
    private_sigstore: PrivateSigstore, judge: Judge, rekor: Any
) -> None:
    """ProtoJSON lets a signer write those of 64 bits as text or as numbers."""

    def renumber(entry: dict[str, Any]) -> dict[str, Any]:
        names = ("integratedTime", "logIndex", "treeSize")
        proof = entry["inclusionProof"]
        entry["inclusionProof"] = proof | {name: int(proof[name]) for name in names[1:]}
        return entry | {name: int(entry[name]) for name in names if name in entry}

    bundle = private_sigstore.sign_statement(b"payload", rekor=rekor, edit=changed(ENTRY, renumber))
    assert '"logIndex": "' not in bundle
    assert judge(bundle).signer.log_index == at(json.loads(bundle), ENTRY)["logIndex"]


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("padding", ["=", ""])
def test_material_in_the_url_alphabet_verifies(
    private_sigstore: PrivateSigstore, judge: Judge, rekor: Any, padding: str
) -> None:
    """ProtoJSON lets a signer choose for all bytes: certificate, log entry and timestamp."""

    def recode(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: recode(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [recode(each, name) for each in value]
        if name not in BYTES:
            return value
        return value.translate(str.maketrans("+/", "-_")).replace("=", padding)

    edit = changed("verificationMaterial", recode)
    bundle = private_sigstore.sign_statement(b"payload", rekor=rekor, edit=edit)
    assert judge(bundle).payload == b"payload"
    parsed = parse_bundle(bundle.encode(), limits=DEFAULT)
    assert Claims.of(parsed).log_id == base64.b64decode(parsed.log_entries[0]["logId"]["keyId"])


BYTES = (
    *("rawBytes", "keyId", "signedEntryTimestamp", "rootHash", "hashes", "canonicalizedBody"),
    "signedTimestamp",
)
"""Fields of the material that are bytes (sigstore_rekor.proto, sigstore_common.proto)."""


def test_bytes_that_are_no_base64_are_refused_as_they_stand(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """Nothing is made of a mixture of both alphabets."""
    edit = put(f"{ENTRY}.canonicalizedBody", "+_+_")
    assert sentence(lambda: judge(private_sigstore.sign_statement(b"payload", edit=edit)))


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "an elliptic-curve key on secp384r1"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "an elliptic-curve key on secp521r1"),
        (ed25519.Ed25519PrivateKey.generate, "a key of type Ed25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "a key of type RSA"),
    ],
)
def test_a_key_of_another_kind_is_not_called_a_forgery(
    private_sigstore: PrivateSigstore,
    judge: Judge,
    make: Callable[[], Any],
    kind: str,
    rekor: Any,
) -> None:
    """Fulcio certifies them, too, and sigstore-python verifies by P-256 with SHA-256."""
    bundle = private_sigstore.sign_statement(b"payload", key=make(), rekor=rekor)
    said = sentence(lambda: judge(bundle))
    assert said == (
        f"{kind} cannot verify a keyless signature here: sign again with ECDSA on P-256, as "
        "Sigstore's clients do"
    )


def test_a_timestamp_stands_for_the_logs_promise(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """Rekor v2 promises nothing: a timestamp authority says when."""
    signed = judge(private_sigstore.sign_statement(b"payload", edit=without(PROMISE)))
    assert signed.signer.signed_at


def sentence(judge: Callable[[], object]) -> str:
    """Return the sentence by which a signature is refused."""
    with pytest.raises(SignatureError) as caught:
        judge()
    return str(caught.value)


_AT_THE_SHAPE = {"no signature", "two signatures", "no envelope", "media type unknown"}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_every_lie_of_the_other_side_is_refused(
    private_sigstore: PrivateSigstore, judge: Judge, attack: Attack
) -> None:
    """Whichever part lies, the signature does not hold, and nothing else is raised."""
    bundle = attack.forge(private_sigstore, b"payload")
    error = BundleError if attack.name in _AT_THE_SHAPE else SignatureError
    with pytest.raises(error):
        judge(bundle)


@pytest.mark.parametrize("attack", CRASHING, ids=str)
def test_what_makes_the_library_fall_over_is_refused(
    private_sigstore: PrivateSigstore, judge: Judge, attack: Attack
) -> None:
    """A library's own failure while it judges a bundle is a refusal, not a crash."""
    bundle = attack.forge(private_sigstore, b"payload")
    said = sentence(lambda: judge(bundle))
    assert said.startswith("the keyless signature ")
    assert attack.refusal not in said


@pytest.mark.parametrize("attack", [*ATTACKS, *CRASHING, WRONG_PAYLOAD_TYPE], ids=str)
def test_no_lie_verifies_a_model(
    private_sigstore: PrivateSigstore, site: Site, root: TrustedRoot, attack: Attack
) -> None:
    """From the file to the verdict: the files are right, and the signature is not."""
    forged = attack.forge(private_sigstore, json.dumps(statement()).encode())
    site.signature.write_text(forged)
    verifier = SigstoreVerifier(BY_ALICE, trusted_root=root)
    with pytest.raises((SignatureError, BundleError, StatementError)):
        verify(site.request(verifiers=(verifier,)))


def test_a_payload_type_that_was_signed_is_ours_to_refuse(
    private_sigstore: PrivateSigstore, site: Site, root: TrustedRoot
) -> None:
    """The signature over another type holds, and the statement is none."""
    payload = json.dumps(statement()).encode()
    site.signature.write_text(WRONG_PAYLOAD_TYPE.forge(private_sigstore, payload))
    verifier = SigstoreVerifier(BY_ALICE, trusted_root=root)
    with pytest.raises(StatementError, match="payload is of type 'text/plain'"):
        verify(site.request(verifiers=(verifier,)))


def test_an_honest_keyless_signature_verifies_a_model(
    private_sigstore: PrivateSigstore, site: Site, root: TrustedRoot
) -> None:
    """From the file to the verdict."""
    site.signature.write_text(private_sigstore.sign_statement(statement()))
    verifier = SigstoreVerifier(BY_ALICE, trusted_root=root)
    report = verify(site.request(verifiers=(verifier,)))
    assert report.signer
    assert report.signer.identity == ALICE.name


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": "bob@example.com"},
        {"identity": "Alice@example.com"},
        {"identity": ""},
        {"issuer": "https://accounts.example.org"},
        {"issuer": ALICE.issuer + "/"},
    ],
)
def test_somebody_else_is_said_to_be_somebody_else(
    private_sigstore: PrivateSigstore, judge: Judge, changes: dict[str, Any]
) -> None:
    """Identity and issuer are matched exactly."""
    expected = Expected(**({"identity": ALICE.name, "issuer": ALICE.issuer} | changes))
    bundle = private_sigstore.sign_statement(b"payload")
    said = sentence(lambda: judge(bundle, expected))
    assert said.startswith("the model was signed by somebody else: ")


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"identity": "bob@example.com"}, "the identity differs"),
        ({"issuer": "https://other"}, "the issuer differs"),
        ({"identity": "bob", "issuer": "other"}, "the identity and the issuer differ"),
        ({"identity": None, "identity_regexp": "bob"}, "the identity differs"),
        ({"issuer": None, "issuer_regexp": "bob"}, "the issuer differs"),
        ({"github": (("ref", "refs/heads/main"),)}, "the workflow's ref differs"),
    ],
)
def test_the_half_that_differs_is_named(
    private_sigstore: PrivateSigstore, judge: Judge, changes: dict[str, Any], differs: str
) -> None:
    """A person sees what to correct, with both as they are written."""
    expected = Expected(**({"identity": ALICE.name, "issuer": ALICE.issuer} | changes))
    said = sentence(lambda: judge(private_sigstore.sign_statement(b"payload"), expected))
    assert f"'{ALICE.name}' of '{ALICE.issuer}', and " in said
    assert f" is accepted: {differs}" in said


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        (r"alice@example\.com", True),
        (r"(alice|bob)@example\.com", True),
        (r".*@example\.com", True),
        (r"(?i)ALICE@EXAMPLE\.COM", True),
        ("alice", False),
        ("example", False),
        (r".*@example", False),
        (r"lice@example\.com", False),
        ("bob|alice", False),
        (r"^alice@|@example\.com$", False),
        (r"alice@example\.com\n?x*$", True),
    ],
)
def test_regular_expressions_match_in_full(
    private_sigstore: PrivateSigstore, judge: Judge, expression: str, *, matches: bool
) -> None:
    """A part of an identity or an issuer is not the identity."""
    bundle = private_sigstore.sign_statement(b"payload")
    expected = Expected(identity_regexp=expression, issuer=ALICE.issuer)
    if matches:
        assert judge(bundle, expected)
    else:
        said = sentence(lambda: judge(bundle, expected))
        assert said.startswith(
            "the model was signed by somebody else: 'alice@example.com' of "
            "'https://accounts.example.com', and "
        )


@pytest.mark.parametrize(
    ("expression", "matches"),
    [(r"https://accounts\.example\.(com|org)", True), (r"https://accounts", False), ("com", False)],
)
def test_issuers_match_in_full_too(
    private_sigstore: PrivateSigstore, judge: Judge, expression: str, *, matches: bool
) -> None:
    """An issuer that only begins alike is another."""
    bundle = private_sigstore.sign_statement(b"payload")
    expected = Expected(identity=ALICE.name, issuer_regexp=expression)
    if matches:
        assert judge(bundle, expected)
    else:
        said = sentence(lambda: judge(bundle, expected))
        assert said.startswith(
            "the model was signed by somebody else: 'alice@example.com' of "
            "'https://accounts.example.com', and "
        )


@pytest.mark.parametrize(
    ("identity", "issuer", "hint"),
    [
        ("email:alice@example.com", ALICE.issuer, "write the identity without 'email:'"),
        ("Alice@example.com", ALICE.issuer, "only capital and small letters of the identity are"),
        (ALICE.name, f"{ALICE.issuer}/", "only the '/' at the end of the issuer is different"),
        ("bob@example.com", ALICE.issuer, "the identity differs"),
    ],
)
def test_what_is_nearly_right_is_named(
    private_sigstore: PrivateSigstore, judge: Judge, identity: str, issuer: str, hint: str
) -> None:
    """Nobody sees a '/' at the end of a line."""
    bundle = private_sigstore.sign_statement(b"payload")
    said = sentence(lambda: judge(bundle, Expected(identity=identity, issuer=issuer)))
    assert said.split("; ")[-1].startswith(hint) or said.endswith(hint)


def test_an_expression_that_only_compiling_finds_wrong(private_sigstore: PrivateSigstore) -> None:
    """A policy is only read by the webhook; the gate compiles it, and says what is wrong."""
    root = TrustedRoot.from_json(private_sigstore.trusted_root_json.encode(), source="private")
    with pytest.raises(PolicyError, match=r"the signer's issuer, .* cannot be used: write it"):
        SigstoreVerifier(Expected(identity=ALICE.name, issuer_regexp="(?<=a+)b"), trusted_root=root)


def test_a_right_identity_does_not_make_up_for_a_wrong_issuer(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """All expectations hold, or none."""
    bundle = private_sigstore.sign_statement(b"payload")
    expected = Expected(identity_regexp=".*", issuer_regexp="https://other.*")
    assert "somebody else" in sentence(lambda: judge(bundle, expected))


@pytest.mark.parametrize("name", ["alice!example.com", f"{'a' * 300}!example.com"])
def test_a_user_name_is_an_identity(
    private_sigstore: PrivateSigstore, judge: Judge, name: str
) -> None:
    """Fulcio writes it as a DER string in a name of its own kind; both forms of length."""
    signer = Identity(name)
    bundle = private_sigstore.sign_statement(b"payload", identity=signer)
    assert judge(bundle, Expected(identity=name, issuer=signer.issuer)).signer.identity == name
    assert judge(bundle, Expected(issuer=signer.issuer, identity_regexp="[a-z]+!example\\.com"))
    for wrong in (name[1:], f"\x0c\x11{name}", "a"):
        expected = Expected(identity=wrong, issuer=signer.issuer)
        said = sentence(partial(judge, bundle, expected))
        assert "the identity differs" in said


@pytest.mark.parametrize(
    ("claims", "issuer"),
    [
        ({1: "https://former.example"}, ALICE.issuer),
        ({1: None}, ALICE.issuer),
        ({8: None}, ALICE.issuer),
        ({8: "https://current.example"}, "https://current.example"),
        ({8: ""}, None),
        ({1: None, 8: None}, None),
    ],
)
def test_the_current_extension_says_the_issuer(
    private_sigstore: PrivateSigstore,
    judge: Judge,
    claims: dict[int, str | None],
    issuer: str | None,
) -> None:
    """Fulcio's documents call the former one, the bare text, deprecated."""
    bundle = private_sigstore.sign_statement(b"payload", identity=replace(ALICE, claims=claims))
    expected = Expected(identity=ALICE.name, issuer=issuer or ALICE.issuer)
    if issuer:
        assert judge(bundle, expected).signer.issuer == issuer
    else:
        assert "of no issuer, and" in sentence(partial(judge, bundle, expected))


CLAIMS = {
    "repository": "acme/models",
    "ref": "refs/heads/main",
    "name": "Sign",
    "trigger": "push",
    "sha": "c0ffee",
}


def test_a_workflow_is_accepted_by_its_claims(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """GitHub's claims stand for an identity."""
    bundle = private_sigstore.sign_statement(b"payload", identity=WORKFLOW)
    expected = Expected(issuer=WORKFLOW.issuer, github=tuple(CLAIMS.items()))
    assert judge(bundle, expected).signer.identity == WORKFLOW.name


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_of_a_workflow_counts(
    private_sigstore: PrivateSigstore, judge: Judge, claim: str
) -> None:
    """One claim that differs is somebody else, and so is a certificate without claims."""
    expected = Expected(issuer=WORKFLOW.issuer, github=tuple((CLAIMS | {claim: "other"}).items()))
    bundle = private_sigstore.sign_statement(b"payload", identity=WORKFLOW)
    assert "somebody else" in sentence(lambda: judge(bundle, expected))
    person = Expected(issuer=ALICE.issuer, github=((claim, CLAIMS[claim]),))
    bundle = private_sigstore.sign_statement(b"payload")
    assert "somebody else" in sentence(lambda: judge(bundle, person))


def test_an_unknown_log_is_not_called_a_forgery(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """An old trusted root is another fault than a lie: the sentence names root and age."""
    unknown = private_sigstore.sign_statement(b"payload", log=Log.new())
    said = sentence(lambda: judge(unknown))
    assert said.startswith("the signature is recorded in a transparency log that the trusted root")
    assert "months old) does not know: update the validator" in said
    forged = private_sigstore.sign_statement(b"payload", log=private_sigstore.log.impersonated())
    said = sentence(lambda: judge(forged))
    assert said == (
        "the keyless signature does not hold: the log's checkpoint was not signed by the log"
    )


def test_a_log_that_is_not_named_is_not_believed(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """Whatever stands in the place of the log's name, it is a refusal."""
    values: list[Any] = [None, {}, {"keyId": 5}, {"keyId": "%"}, "x", []]
    for value in values:
        bundle = private_sigstore.sign_statement(b"payload", edit=put(f"{ENTRY}.logId", value))
        sentence(partial(judge, bundle))


def test_an_incomplete_bundle_is_named_by_its_field(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """The place that is missing stands in the sentence, not only that one is."""
    bundle = private_sigstore.sign_statement(b"payload", edit=without(f"{ENTRY}.inclusionProof"))
    assert sentence(lambda: judge(bundle)) == (
        "the keyless signature is not a complete bundle: "
        "'verificationMaterial.tlogEntries.0.inclusionProof' is missing"
    )


def test_another_root_does_not_know_the_signer(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """Production and staging know nothing of a private Sigstore."""
    bundle = private_sigstore.sign_statement(b"payload")
    for root in (TrustedRoot.packaged(), TrustedRoot.packaged(STAGING_URL)):
        said = sentence(partial(judge, bundle, trusting=root))
        assert "does not know: update the validator, or name the right root" in said


def roots(document: Document) -> list[tuple[str, Document]]:
    """Return trusted roots that are each broken in one place."""
    edits: dict[str, Callable[[Document], object]] = {
        "no log": lambda root: root.update(tlogs=[]),
        "no authority": lambda root: root.update(certificateAuthorities=[]),
        "no list of logs": lambda root: root.pop("tlogs"),
        "a log without a key": without("tlogs.0.publicKey"),
        "a log without a name": without("tlogs.0.logId"),
        "a key of an unknown kind": put("tlogs.0.publicKey.keyDetails", "X"),
        "a key that is none": put("tlogs.0.publicKey.rawBytes", "%"),
        "an authority that is none": put(
            "certificateAuthorities.0.certChain.certificates.0.rawBytes", "AAAA"
        ),
        "a date that is none": put("tlogs.0.publicKey.validFor.start", "yesterday"),
    }
    made = []
    for name, edit in edits.items():
        copy = json.loads(json.dumps(document))
        edit(copy)
        made.append((name, copy))
    return made


def test_a_trusted_root_that_cannot_be_used_is_no_verdict(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """With a broken root nothing is known of the signature; it is not accepted, either."""
    bundle = private_sigstore.sign_statement(b"payload")
    for name, document in roots(json.loads(private_sigstore.trusted_root_json)):
        root = TrustedRoot.from_json(json.dumps(document).encode(), source="broken")
        with pytest.raises((Undecided, SignatureError)):
            pytest.fail(f"accepted with {name}: {judge(bundle, trusting=root)}")


def test_a_signature_after_the_certificates_end_is_refused(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """The trusted time of signing must lie in the certificate's ten minutes."""

    def later(entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"integratedTime": str(int(entry["integratedTime"]) + 3600)}

    bundle = private_sigstore.sign_statement(b"payload", edit=changed(ENTRY, later))
    assert sentence(lambda: judge(bundle))


def test_want_of_memory_says_nothing_of_a_signature(
    private_sigstore: PrivateSigstore, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the library runs out of memory, the model was neither verified nor refused."""

    def exhausted(raw: str) -> None:
        raise MemoryError(len(raw))

    bundle = private_sigstore.sign_statement(b"payload")
    monkeypatch.setattr(models.Bundle, "from_json", exhausted)
    with pytest.raises(MemoryError):
        judge(bundle)


def test_a_lack_of_memory_is_no_verdict(
    private_sigstore: PrivateSigstore, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing of the bundle: whoever runs the verification ends as undecided."""

    def exhausted(*_: object) -> None:
        raise MemoryError

    bundle = private_sigstore.sign_statement(statement())
    monkeypatch.setattr(library.Verifier, "verify_dsse", exhausted)
    with pytest.raises(MemoryError):
        judge(bundle, BY_ALICE)
