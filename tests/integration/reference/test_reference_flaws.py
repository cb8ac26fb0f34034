"""The verdicts that differ from `model_signing` 1.1.1's, and why: a test for each flaw.

The numbers are issues of sigstore/model-transparency. rh-model-signing 1.0.5 has mended the
flaws that are marked so; `python -m tests.support.differential` runs these tests beside it. When
a test fails because the reference has learned better, it has done its work: take it out, and its
clause in `test_differential` with it.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from model_signing import hashing, signing, verifying
from model_signing._cli import main

from tests.support.differential.signers import (
    IS_RED_HATS,
    Authority,
    Signers,
    Verdict,
    bundle_by_key,
    certificate_verifier,
    key_verifier,
    our_verdict,
    quiet,
    reference_verdict,
    resource,
    statement,
)
from validator.errors import PolicyError
from validator.signatures.certificate import CertificateVerifier
from validator.statement import LEGACY_PREDICATE_TYPE
from validator.verification import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY: Final = timedelta(days=1)


class Bench:
    """One model, one signature, and both verdicts on it; signed by the first key."""

    def __init__(self, folder: Path, signers: Signers) -> None:
        self.signers = signers
        self.pair = signers.keys[0]
        self.folder = folder
        self.model = folder / "model"
        self.signature = folder / "model.sig"
        self.model.mkdir()

    def write(self, name: str, content: bytes = b"weights") -> Path:
        """Put a file into the model."""
        path = self.model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def sign(self, config: Any = None) -> None:
        """Sign by the reference, as it hashes by default or as told."""
        signer = signing.Config().use_elliptic_key_signer(private_key=self.pair.private_path)
        with quiet():
            signer.set_hashing_config(config or hashing.Config()).sign(self.model, self.signature)

    def sign_statement(self, document: dict[str, Any] | bytes) -> None:
        """Sign a statement that the reference would not make."""
        self.signature.write_bytes(bundle_by_key(self.pair, document))

    def reference(self, config: Any = None, *, ignore_unsigned: bool = False) -> Verdict:
        """Return the reference's verdict, guessing how to hash unless it is told."""
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=self.pair.public_path)
        verifier.set_ignore_unsigned_files(ignore_unsigned)
        if config is not None:
            verifier.set_hashing_config(config)
        return reference_verdict(verifier, self.model, self.signature)

    def ours(self, **changes: Any) -> Verdict:
        """Return our verdict."""
        request = Request(
            model=self.model, signature=self.signature, verifiers=(key_verifier(self.pair),)
        )
        return our_verdict(request._replace(**changes))

    def by_certificate(
        self, leaf: Path, *, authority: Authority | None = None
    ) -> tuple[Verdict, Verdict]:
        """Sign by a certificate; return the reference's verdict and ours.

        Red Hat's does not sign by a certificate that it would refuse, so that it is put into the
        bundle of another one of the same key.
        """
        authority = authority or self.signers.authority
        signer = signing.Config().use_certificate_signer(
            private_key=authority.signer.private_path,
            signing_certificate=self.signers.leaf,
            certificate_chain=[authority.path],
        )
        verifier = verifying.Config().use_certificate_verifier(certificate_chain=[authority.path])
        with quiet():
            signer.sign(self.model, self.signature)
        der = x509.load_pem_x509_certificate(leaf.read_bytes()).public_bytes(Encoding.DER)
        bundle = json.loads(self.signature.read_bytes())
        chain = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"]
        chain[0]["rawBytes"] = base64.b64encode(der).decode()
        self.signature.write_text(json.dumps(bundle))
        reference = reference_verdict(verifier, self.model, self.signature)
        return reference, self.ours(verifiers=(certificate_verifier(authority),))


@pytest.fixture
def bench(tmp_path: Path, signers: Signers) -> Bench:
    """A model of one file."""
    bench = Bench(tmp_path, signers)
    bench.write("model.bin")
    return bench


def check(
    reference: Verdict, ours: Verdict, *, accepts: str, because: str, mended: bool = False
) -> None:
    """Check who accepts, and that the other one says the right thing.

    Where the flaw is `mended` in Red Hat's reference, that one's verdict is ours.
    """
    assert ours.accepted == (accepts == "ours"), ours
    if mended and IS_RED_HATS:
        assert reference.accepted == ours.accepted, reference
        return
    assert reference.accepted == (accepts == "reference"), reference
    assert because in (ours if accepts == "reference" else reference).why


# Certificates


def test_an_expired_certificate_is_refused(bench: Bench) -> None:
    """The reference turns its clock back to the certificate's own start (#663)."""
    leaf = bench.signers.authority.issue("expired", starts=-30 * DAY, ends=-DAY)
    verdicts = bench.by_certificate(leaf)
    check(*verdicts, accepts="reference", because="expired on", mended=True)


def test_a_certificate_that_is_not_valid_yet_is_refused(bench: Bench) -> None:
    """The reference turns its clock forward to the certificate's own start (#663)."""
    leaf = bench.signers.authority.issue("early", starts=DAY, ends=30 * DAY)
    verdicts = bench.by_certificate(leaf)
    check(*verdicts, accepts="reference", because="not valid before", mended=True)


def test_a_web_servers_certificate_is_refused(bench: Bench) -> None:
    """To the reference, a certificate that may sign anything may sign models (#648)."""
    leaf = bench.signers.authority.issue("web", purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    verdicts = bench.by_certificate(leaf)
    check(*verdicts, accepts="reference", because="lacks codeSigning", mended=True)


def test_an_authority_for_web_servers_makes_no_signers(bench: Bench) -> None:
    """To the reference, an authority's extended usages say nothing about those below it."""
    authority = bench.signers.authority.confined(ExtendedKeyUsageOID.SERVER_AUTH)
    verdicts = bench.by_certificate(bench.signers.leaf, authority=authority)
    check(*verdicts, accepts="reference", because="may not issue for signing code")


def test_a_certificate_that_may_not_sign_is_refused(bench: Bench) -> None:
    """To the reference, codeSigning makes up for a key usage without digitalSignature."""
    leaf = bench.signers.authority.issue("mute", digital_signature=False)
    check(*bench.by_certificate(leaf), accepts="reference", because="lacks digitalSignature")


def test_a_certificate_without_usages_may_sign(bench: Bench) -> None:
    """RFC 5280 restricts by usages that are given; the reference demands one."""
    leaf = bench.signers.authority.issue("plain", purpose=None)
    check(*bench.by_certificate(leaf), accepts="ours", because="cannot be used for signing")


def test_no_authority_means_nobody_is_trusted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anchors the reference trusts the public web's, here played by the test's (#648)."""
    authority = bench.signers.authority
    bench.by_certificate(bench.signers.leaf)
    monkeypatch.setattr("certifi.where", lambda: str(authority.path))
    trusting = verifying.Config().use_certificate_verifier()
    assert reference_verdict(trusting, bench.model, bench.signature).accepted
    with pytest.raises(PolicyError, match="not certificates in PEM form"):
        CertificateVerifier.from_pem(b"", source="nothing")


# What was signed


def test_an_empty_model_is_refused(bench: Bench) -> None:
    """The reference accepts a model without files (#661)."""
    (bench.model / "model.bin").unlink()
    bench.sign_statement(statement([]))
    verdicts = bench.reference(), bench.ours()
    check(*verdicts, accepts="reference", because="empty model is refused", mended=True)


def test_a_name_that_leads_out_of_the_model_is_refused(bench: Bench) -> None:
    """With unsigned files let pass, the reference reads `../x` from outside the model (#647)."""
    (bench.folder / "x").write_bytes(b"outside")
    bench.sign_statement(statement([resource("../x", b"outside")]))
    reference = bench.reference(ignore_unsigned=True)
    assert reference.accepted, reference
    assert "leads out of the model" in bench.ours(ignore_unsigned_files=True).why


def test_an_absolute_name_is_refused(bench: Bench) -> None:
    """With unsigned files let pass, the reference opens an absolute path, and crashes."""
    bench.sign_statement(statement([resource(str(bench.folder / "x"), b"outside")]))
    (bench.folder / "x").write_bytes(b"outside")
    assert "is not in the subpath of" in bench.reference(ignore_unsigned=True).why
    assert "it is absolute" in bench.ours(ignore_unsigned_files=True).why


def test_a_name_that_stands_twice_is_refused(bench: Bench) -> None:
    """To the reference, the last digest of a name wins."""
    bench.sign_statement(
        statement([resource("model.bin", b"other"), resource("model.bin", b"weights")])
    )
    check(bench.reference(), bench.ours(), accepts="reference", because="twice")


def test_a_name_that_is_not_in_its_shortest_form_is_refused(bench: Bench) -> None:
    """The reference reads `./model.bin` and `model.bin//` as one name: one file, many names."""
    bench.sign_statement(statement([resource("./model.bin", b"weights")]))
    check(bench.reference(), bench.ours(), accepts="reference", because="shortest form")


def test_an_upper_case_digest_is_refused(bench: Bench) -> None:
    """The reference takes digests in any case."""
    entry = resource("model.bin", b"weights")
    bench.sign_statement(statement([{**entry, "digest": entry["digest"].upper()}]))
    check(bench.reference(), bench.ours(), accepts="reference", because="lower-case")


def test_a_key_that_stands_twice_in_the_statement_is_refused(bench: Bench) -> None:
    """The reference reads the last of two keys, another reader the first."""
    honest = json.dumps(statement([resource("model.bin", b"weights")]))
    twice = honest.replace('"predicate": {', '"predicate": {}, "predicate": {', 1)
    bench.sign_statement(twice.encode())
    check(bench.reference(), bench.ours(), accepts="reference", because="'predicate' stands twice")


def test_the_predicate_of_v0_2_is_refused_unless_asked_for(bench: Bench) -> None:
    """The reference accepts the older predicate, which says less, without asking."""
    digest = resource("model.bin", b"weights")["digest"]
    bench.sign_statement(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model.bin", "digest": {"sha256": digest}}],
            "predicateType": LEGACY_PREDICATE_TYPE,
            "predicate": {"unused": "Unused, just passed due to API requirements"},
        }
    )
    check(bench.reference(), bench.ours(), accepts="reference", because="--allow-legacy")
    assert bench.ours(allow_legacy=True).accepted


def test_another_model_of_the_same_signer_is_refused_under_a_pin(bench: Bench) -> None:
    """Nothing tells the reference which model was asked for: an older one verifies (#659)."""
    bench.sign()
    assert bench.reference().accepted
    assert bench.ours().accepted
    pinned = bench.ours(digests=("sha256:" + "0" * 64,))
    check(bench.reference(), pinned, accepts="reference", because="not the pinned one")


# Shards


def sharded() -> Any:
    """Return a fresh configuration, since the reference's remember what they saw."""
    return hashing.Config().use_shard_serialization(shard_size=4)


def test_shards_are_verified_without_being_told_their_size(bench: Bench) -> None:
    """The reference signs `"shard_size": 4.0`, and dies when it reads it back."""
    bench.sign(sharded())
    assert b'"shard_size": 4.0' in bench_payload(bench)
    check(bench.reference(), bench.ours(), accepts="ours", because="TypeError: 'float'")
    assert bench.reference(sharded()).accepted


def bench_payload(bench: Bench) -> bytes:
    """Return what was signed."""
    return base64.b64decode(json.loads(bench.signature.read_bytes())["dsseEnvelope"]["payload"])


def test_a_colon_in_a_shards_name_is_read(bench: Bench) -> None:
    """The reference signs a sharded file with a colon in its name, and cannot verify it."""
    bench.write("a:b")
    bench.sign(sharded())
    check(bench.reference(sharded()), bench.ours(), accepts="ours", because="got a:b:0:4")


def test_an_empty_file_added_beside_shards_is_refused(bench: Bench) -> None:
    """The reference skips empty files among shards; an `__init__.py` changes what is imported."""
    bench.sign(sharded())
    bench.write("__init__.py", b"")
    check(bench.reference(sharded()), bench.ours(), accepts="reference", because="is not signed")


def test_an_empty_file_signed_in_shards_is_not_covered(bench: Bench) -> None:
    """The reference leaves an empty file out of the manifest: it may go, and we cannot know it."""
    bench.write("empty", b"")
    bench.sign(sharded())
    check(bench.reference(sharded()), bench.ours(), accepts="reference", because="is not signed")
    assert bench.ours(ignore_paths=("empty",)).accepted


def test_shards_are_verified_where_unsigned_files_may_lie(bench: Bench) -> None:
    """With unsigned files let pass, the reference looks for a file called `model.bin:0:4`."""
    bench.sign(sharded())
    bench.write("beside")
    reference = bench.reference(sharded(), ignore_unsigned=True)
    check(reference, bench.ours(ignore_unsigned_files=True), accepts="ours", because=":0:4")


# Hashes


def test_blake2b_is_verified_without_being_told(bench: Bench) -> None:
    """The reference signs `blake2b`, and knows it only as `blake2` when it reads it back."""
    bench.sign(hashing.Config().use_file_serialization(hashing_algorithm="blake2"))
    check(
        bench.reference(),
        bench.ours(),
        accepts="ours",
        because="Unsupported hashing method blake2b",
    )


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(sharded, id="shards"),
        pytest.param(
            lambda: hashing.Config().use_file_serialization(hashing_algorithm="blake2"),
            id="blake2b",
        ),
        pytest.param(
            lambda: hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
            id="blake3",
        ),
    ],
)
def test_what_its_library_signs_its_command_refuses(
    bench: Bench, config: Callable[[], Any]
) -> None:
    """The reference's command hashes whole files by SHA-256, whatever was signed."""
    bench.sign(config())
    arguments = [f"--signature={bench.signature}", f"--public_key={bench.pair.public_path}"]
    with quiet():
        result = CliRunner().invoke(main, ["verify", "key", str(bench.model), *arguments])
    assert "Verification failed" in result.output
    assert bench.ours().accepted


# Links


def links(*, allowed: bool = True) -> Any:
    """Return a fresh configuration."""
    return hashing.Config().set_allow_symlinks(allowed)


def test_signed_links_are_followed_without_being_told(bench: Bench) -> None:
    """The reference forgets that links were signed, and refuses them (#666)."""
    (bench.model / "link").symlink_to("model.bin")
    bench.sign(links())
    verdicts = bench.reference(), bench.ours()
    check(*verdicts, accepts="ours", because="is a symlink", mended=True)
    assert bench.reference(links()).accepted


def test_a_link_in_a_model_signed_without_links_is_refused(bench: Bench) -> None:
    """The reference lets the verifier decide on links, whatever was signed (#666)."""
    bench.sign()
    path = bench.model / "model.bin"
    path.rename(bench.folder / "outside.bin")
    path.symlink_to(bench.folder / "outside.bin")
    verdicts = bench.reference(links()), bench.ours()
    check(*verdicts, accepts="reference", because="without links", mended=True)


def test_what_lies_in_a_linked_folder_must_be_signed(bench: Bench) -> None:
    """The reference does not enter linked folders; a model server does."""
    bench.write("real/code.py")
    bench.sign(links())
    (bench.model / "linked").symlink_to("real")
    check(
        bench.reference(links()), bench.ours(), accepts="reference", because="'linked/code.py' is"
    )


def test_a_folder_linked_to_itself_is_refused(bench: Bench) -> None:
    """The reference does not see that a reader would walk in a circle."""
    bench.sign(links())
    (bench.model / "loop").symlink_to(".")
    check(bench.reference(links()), bench.ours(), accepts="reference", because="in a circle")


def test_signed_files_are_found_in_a_linked_folder(bench: Bench) -> None:
    """A folder that became a link reads as signed; the reference misses its files."""
    bench.write("folder/code.py")
    bench.sign(links())
    (bench.model / ".git").mkdir()
    (bench.model / "folder").rename(bench.model / ".git" / "folder")
    (bench.model / "folder").symlink_to(".git/folder")
    check(bench.reference(links()), bench.ours(), accepts="ours", because="Missing files")


def test_a_link_that_leaves_the_model_is_refused(bench: Bench) -> None:
    """The reference hashes what a link finds anywhere; it need not be there for the workload."""
    (bench.folder / "outside").write_bytes(b"outside")
    (bench.model / "link").symlink_to(bench.folder / "outside")
    bench.sign(links())
    check(bench.reference(links()), bench.ours(), accepts="reference", because="out of the model")


def test_an_unsigned_link_is_refused_where_unsigned_files_may_lie(bench: Bench) -> None:
    """With unsigned files let pass, the reference does not look at unsigned links."""
    bench.sign()
    (bench.model / "link").symlink_to("/etc/hostname")
    check(
        bench.reference(ignore_unsigned=True),
        bench.ours(ignore_unsigned_files=True),
        accepts="reference",
        because="without links",
    )


def test_a_signed_file_below_a_linked_folder_is_refused(bench: Bench) -> None:
    """With unsigned files let pass, the reference looks for links at the last component only."""
    bench.write("folder/code.py")
    bench.sign()
    (bench.model / "folder").rename(bench.folder / "outside")
    (bench.model / "folder").symlink_to(bench.folder / "outside")
    check(
        bench.reference(ignore_unsigned=True),
        bench.ours(ignore_unsigned_files=True),
        accepts="reference",
        because="'folder' is a link",
    )


# Ignores


def test_links_below_an_ignored_path_are_ignored(bench: Bench) -> None:
    """The reference refuses a link in `.git`, which need not be signed."""
    bench.write(".git/HEAD")
    bench.sign()
    (bench.model / ".git" / "link").symlink_to("HEAD")
    verdicts = bench.reference(), bench.ours()
    check(*verdicts, accepts="ours", because="is a symlink", mended=True)


def test_a_signed_file_is_checked_although_its_path_is_ignored(bench: Bench) -> None:
    """The reference forgets that git's files were signed, and misses them."""
    bench.write(".gitattributes")
    bench.sign(hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False))
    check(bench.reference(), bench.ours(), accepts="ours", because="Missing files")
    bench.write(".gitattributes", b"changed")
    assert "content differs" in bench.ours().why


def test_the_given_signature_is_no_part_of_the_model(bench: Bench) -> None:
    """The reference refuses a signature in the model that the signer did not ignore."""
    bench.sign()
    inside = bench.model / "granite.sig"
    bench.signature.rename(inside)
    bench.signature = inside
    check(bench.reference(), bench.ours(), accepts="ours", because="Extra files")


def test_one_models_ignores_do_not_reach_the_next(bench: Bench) -> None:
    """The reference's verifier, used again, ignores what the model before did (#650)."""
    bench.write("code.py")
    bench.sign(hashing.Config().set_ignored_paths(paths=["code.py"]))
    first = bench.signature.read_bytes()
    (bench.model / "code.py").unlink()
    bench.sign()
    second = bench.signature.read_bytes()
    bench.write("code.py", b"not signed by the second")
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=bench.pair.public_path)
    bench.signature.write_bytes(first)
    assert reference_verdict(verifier, bench.model, bench.signature).accepted
    assert bench.ours().accepted
    bench.signature.write_bytes(second)
    verdicts = reference_verdict(verifier, bench.model, bench.signature), bench.ours()
    check(*verdicts, accepts="reference", because="'code.py' is not signed", mended=True)


# No flaw, but what the two must agree on


@pytest.mark.parametrize("names", [["x.md", "x/y"], ["x/y", "x.md"]], ids=["name", "component"])
def test_both_orders_in_the_wild_are_read(bench: Bench, names: list[str]) -> None:
    """The specification sorts by name, the reference by component; both read what was signed."""
    (bench.model / "model.bin").unlink()
    for name in names:
        bench.write(name, name.encode())
    bench.sign_statement(statement([resource(name, name.encode()) for name in names]))
    assert bench.reference().accepted
    assert bench.ours().accepted


def test_an_envelope_of_another_type_is_refused_by_both(bench: Bench) -> None:
    """The payload's type is signed; changing it breaks the signature."""
    bench.sign()
    bundle = json.loads(bench.signature.read_bytes())
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    bench.signature.write_text(json.dumps(bundle))
    assert not bench.reference().accepted
    assert not bench.ours().accepted
