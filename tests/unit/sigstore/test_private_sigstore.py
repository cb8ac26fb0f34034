"""The fake, tested against the real libraries: honest by default, caught when it lies."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

import pytest
import requests
from model_signing import hashing, verifying
from sigstore.dsse import InvalidEnvelope
from sigstore.errors import Error, VerificationError
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore.verify import Verifier, policy

from tests.sigstore.attacks import ATTACKS, CRASHING, PROMISE, WRONG_PAYLOAD_TYPE, Attack, without
from tests.sigstore.authority import Identity
from tests.sigstore.private import ALICE, IN_TOTO, Flavour, PrivateSigstore
from tests.sigstore.tokens import IdentityProvider

if TYPE_CHECKING:
    from pathlib import Path

STATEMENT = b'{"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "../x"}]}'

BY_ALICE = policy.Identity(identity=ALICE.name, issuer=ALICE.issuer)

WORKFLOW = Identity(
    "https://github.com/acme/models/.github/workflows/sign.yml@refs/heads/main",
    "https://token.actions.githubusercontent.com",
    {5: "acme/models", 12: "https://github.com/acme/models"},
)

Verdict = Callable[[str], tuple[str, bytes]]


@pytest.fixture
def verify(private_sigstore: PrivateSigstore) -> Verdict:
    """Return sigstore-python's own verdict about a bundle that Alice should have signed."""
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(private_sigstore.trusted_root_path)))
    return lambda bundle: verifier.verify_dsse(Bundle.from_json(bundle), BY_ALICE)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a small model of two files."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"weights")
    (model / "notes.txt").write_text("draft")
    return model


def verify_model(sigstore: PrivateSigstore, model: Path, *, identity: Identity = ALICE) -> None:
    """Verify with the reference implementation."""
    verifying.Config().use_sigstore_verifier(
        identity=identity.name,
        oidc_issuer=identity.issuer,
        trust_config=sigstore.trust_config_path,
    ).verify(model, model / "model.sig")


@pytest.mark.parametrize("identity", [ALICE, WORKFLOW], ids=["person", "workflow"])
def test_the_reference_signs_and_verifies(
    private_sigstore: PrivateSigstore, model: Path, identity: Identity
) -> None:
    """model_signing verifies its own signature against our trust configuration."""
    private_sigstore.sign_model(
        model, model / "model.sig", identity=identity, ignore_paths=["notes.txt"]
    )
    (model / "notes.txt").write_text("final")
    verify_model(private_sigstore, model, identity=identity)
    (model / "weights.bin").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        verify_model(private_sigstore, model, identity=identity)


def test_a_hashing_configuration_is_left_as_it_was(
    private_sigstore: PrivateSigstore, model: Path
) -> None:
    """The ignored paths of one model do not stay in the caller's configuration."""
    shards = hashing.Config().use_shard_serialization()
    private_sigstore.sign_model(
        model, model / "model.sig", hashing=shards, ignore_paths=["notes.txt"]
    )
    signed = Bundle.from_json((model / "model.sig").read_text())._dsse_envelope
    assert signed is not None
    assert b'"shards"' in signed._inner.payload
    assert shards._ignored_paths == frozenset()


def test_the_reference_command_signs(private_sigstore: PrivateSigstore, model: Path) -> None:
    """The real command line, in a process of its own, signs and verifies over HTTP."""
    command = [sys.executable, "-m", "model_signing"]
    where = [
        str(model),
        f"--signature={model / 'model.sig'}",
        f"--trust_config={private_sigstore.trust_config_path}",
    ]
    token = private_sigstore.identity_token("bob@example.com")
    sign = [*command, "sign", "sigstore", *where, f"--identity_token={token}"]
    verification = [
        *command,
        *("verify", "sigstore"),
        *where,
        *("--identity=bob@example.com", f"--identity_provider={private_sigstore.issuer}"),
    ]
    for line, said in ((sign, "Signing succeeded"), (verification, "Verification succeeded")):
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout + done.stderr


@pytest.mark.parametrize("flavour", get_args(Flavour))
def test_an_honest_bundle_verifies(
    private_sigstore: PrivateSigstore, verify: Verdict, flavour: Flavour
) -> None:
    """Each bundle version over any payload is accepted, and the payload comes back."""
    bundle = private_sigstore.sign_statement(STATEMENT, flavour=flavour)
    assert verify(bundle) == (IN_TOTO, STATEMENT)


def test_a_timestamp_alone_tells_the_time(
    private_sigstore: PrivateSigstore, verify: Verdict
) -> None:
    """Without the log's promise, our timestamp authority's word is enough."""
    bundle = private_sigstore.sign_statement(STATEMENT, edit=without(PROMISE))
    assert verify(bundle) == (IN_TOTO, STATEMENT)


def test_a_workflow_has_its_claims(private_sigstore: PrivateSigstore) -> None:
    """Claims are readable by sigstore-python's policies, raw and as UTF8String."""
    bundle = Bundle.from_json(private_sigstore.sign_statement(STATEMENT, identity=WORKFLOW))
    policy.AllOf(
        [
            policy.Identity(identity=WORKFLOW.name, issuer=WORKFLOW.issuer),
            policy.OIDCIssuerV2(WORKFLOW.issuer),
            policy.GitHubWorkflowRepository("acme/models"),
            policy.OIDCSourceRepositoryURI("https://github.com/acme/models"),
        ]
    ).verify(bundle.signing_certificate)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_refused_for_what_it_is(
    private_sigstore: PrivateSigstore, verify: Verdict, attack: Attack
) -> None:
    """sigstore-python refuses each lie, and names the lie."""
    bundle = attack.forge(private_sigstore, STATEMENT)
    refusals = (VerificationError, InvalidBundle, InvalidEnvelope)
    with pytest.raises(refusals, match=attack.expression):
        verify(bundle)


@pytest.mark.parametrize("attack", CRASHING, ids=str)
def test_some_attacks_make_the_library_fall_over(
    private_sigstore: PrivateSigstore, verify: Verdict, attack: Attack
) -> None:
    """These are refused with an error outside sigstore-python's tree: callers must expect it."""
    bundle = attack.forge(private_sigstore, STATEMENT)
    with pytest.raises(Exception, match=re.escape(attack.refusal)) as caught:
        verify(bundle)
    assert not isinstance(caught.value, Error)


def test_a_signed_payload_type_is_left_to_the_caller(
    private_sigstore: PrivateSigstore, verify: Verdict
) -> None:
    """sigstore-python believes any payload type that was signed, and says which."""
    assert verify(WRONG_PAYLOAD_TYPE.forge(private_sigstore, STATEMENT))[0] == "text/plain"


@pytest.mark.parametrize("flaw", ["expired", "of another provider"])
def test_a_token_that_does_not_hold_buys_no_certificate(
    private_sigstore: PrivateSigstore, flaw: str
) -> None:
    """The authority certifies only whom its identity provider vouches for, now."""
    tokens = {
        "expired": private_sigstore.services.provider.token(ALICE, lifetime=timedelta(hours=-1)),
        "of another provider": IdentityProvider().token(ALICE),
    }
    answer = requests.post(
        f"{private_sigstore.url}/api/v2/signingCert",
        json={"certificateSigningRequest": ""},
        headers={"Authorization": f"Bearer {tokens[flaw]}"},
        timeout=5,
    )
    assert answer.status_code == requests.codes.unauthorized
    assert "identity token" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/log/entries", 400), ("/api/v2/trustBundle", 404)]
)
def test_a_bad_request_gets_a_sentence(
    private_sigstore: PrivateSigstore, path: str, status: int
) -> None:
    """A request that makes no sense is answered, and breaks nothing."""
    answer = requests.post(f"{private_sigstore.url}{path}", data=b"[]", timeout=5)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_many_sign_at_once(private_sigstore: PrivateSigstore, verify: Verdict) -> None:
    """Concurrent signers get entries of their own, each with a proof that holds."""
    with ThreadPoolExecutor(8) as pool:
        bundles = list(pool.map(private_sigstore.sign_statement, [STATEMENT] * 32))
    assert all(verify(bundle) == (IN_TOTO, STATEMENT) for bundle in bundles)
    places = {Bundle.from_json(bundle).log_entry._inner.log_index for bundle in bundles}
    assert len(places) == len(bundles)
