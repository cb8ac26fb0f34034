"""The ten steps of `validator/verification.py`: what each one refuses, from files to verdict.

`make remove-steps` takes each refusal out once, and a test here, or in the file of the
module that has it, has to fail.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import LEAF, NOW, Party, material
from tests.support.signed_model import (
    FILES,
    Document,
    Signer,
    Site,
    legacy_statement,
    resource,
    sharded,
    statement,
    statement_of,
    write,
)
from validator.bundle import Method
from validator.errors import (
    BundleError,
    MethodError,
    ModelError,
    PinError,
    SignatureError,
    StatementError,
    Undecided,
)
from validator.limits import Limits
from validator.report import Report, Verdict
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


def mismatches(site: Site, **changes: Any) -> tuple[str, ...]:
    """Return all sentences about a model that is not the signed one."""
    with pytest.raises(ModelError) as caught:
        verify(site.request(**changes), now=NOW)
    assert caught.value.mismatches[0] in str(caught.value)
    return caught.value.mismatches


def accepted(site: Site, **changes: Any) -> Report:
    """Return the report on a model that verifies."""
    report = verify(site.request(**changes), now=NOW)
    assert report.verdict is Verdict.VERIFIED
    return report


def signed(site: Site, document: Document | None = None, **serialization: Any) -> Site:
    """Sign the site's model anew, by default as it is, links and signature left out."""
    files = {
        path.relative_to(site.model).as_posix(): path.read_bytes()
        for path in site.model.rglob("*")
        if path.is_file() and not path.is_symlink() and path != site.signature
    }
    site.sign(document or statement(files, **serialization))
    return site


def during(
    site: Site, action: Callable[[], object], *, read: int = 1, **changes: Any
) -> tuple[str, ...]:
    """Return the sentences about a model that `action` changes during one of the reads."""
    return mismatches_during(site, {read: action}, **changes)


def mismatches_during(
    site: Site, actions: dict[int, Callable[[], object]], **changes: Any
) -> tuple[str, ...]:
    """Return the sentences about a model that is changed during some of the reads."""
    reads = 0

    def act(_done: int, _total: int) -> None:
        nonlocal reads
        reads += 1
        actions.get(reads, lambda: None)()

    with pytest.raises(ModelError) as caught:
        verify(site.request(jobs=1, **changes), now=NOW, progress=act)
    assert reads >= max(actions)
    return caught.value.mismatches


class TestStep1Bundle:
    """The signature file is read within limits, and is a bundle."""

    def test_a_model_without_a_signature_is_refused(self, site: Site) -> None:
        """A model that is not signed is not served."""
        site.signature.unlink()
        with pytest.raises(BundleError, match="there is no signature file"):
            verify(site.request())

    def test_a_signature_over_the_limit_is_refused(self, site: Site) -> None:
        """The limit is the request's."""
        with pytest.raises(BundleError, match="larger than 100 bytes"):
            verify(site.request(limits=Limits(bundle_bytes=100)))

    def test_a_bundle_with_a_key_twice_is_refused(self, site: Site) -> None:
        """With two payloads, readers could disagree about the signed one."""
        text = site.signature.read_text()
        site.signature.write_text(text.replace('"payload"', '"payload": "e30=", "payload"', 1))
        with pytest.raises(BundleError, match="the key 'payload' stands twice"):
            verify(site.request())


class TestStep2Method:
    """The verification material fits an accepted method."""

    def test_a_key_does_not_verify_a_certificates_bundle(self, site: Site) -> None:
        """Even where the very key made the signature: the policy asked for another method."""
        root = Party.root()
        leaf = root.issue(key=site.signer.key)
        site.signature.write_bytes(leaf.bundle(statement()))
        accepted(site, verifiers=(root.verifier,))
        with pytest.raises(
            MethodError,
            match="was signed with a certificate, and the accepted signers sign with a key",
        ):
            verify(site.request())

    def test_a_certificate_does_not_verify_a_keys_bundle(self, site: Site) -> None:
        """The sentence names what is accepted."""
        with pytest.raises(
            MethodError,
            match="was signed with a key, and the accepted signers sign with a certificate",
        ):
            verify(site.request(verifiers=(Party.root().verifier,)))

    def test_without_an_accepted_signer_nothing_is_accepted(self, site: Site) -> None:
        """An empty policy is a closed door."""
        with pytest.raises(MethodError, match="was signed with a key, and no signer is accepted"):
            verify(site.request(verifiers=()))

    def test_one_of_several_methods_suffices(self, site: Site) -> None:
        """Alternatives of other methods do not stand in the way."""
        accepted(site, verifiers=(Party.root().verifier, site.signer.verifier))


class TestStep3Signature:
    """An accepted signer signed it."""

    def test_another_signer_is_refused(self, site: Site) -> None:
        """The files are right, and somebody else signed them."""
        with pytest.raises(SignatureError, match="the bundle names the key"):
            verify(site.request(verifiers=(Signer().verifier,)))

    def test_one_of_several_signers_suffices(self, site: Site) -> None:
        """In any order."""
        others = (Signer().verifier, Signer().verifier)
        accepted(site, verifiers=(*others, site.signer.verifier))
        accepted(site, verifiers=(site.signer.verifier, *others))

    def test_none_of_several_signers_names_them_all(self, site: Site) -> None:
        """The sentence has each signer's refusal, since any of them could be the expected one."""
        others = (Signer().verifier, Signer().verifier)
        with pytest.raises(SignatureError, match="none of the 2 accepted signers") as caught:
            verify(site.request(verifiers=others))
        assert all(other.fingerprint in str(caught.value) for other in others)

    def test_a_signature_over_another_statement_is_refused(self, site: Site) -> None:
        """Signature and statement of two honest bundles make no third."""
        mine = json.loads(site.signature.read_bytes())
        other = json.loads(site.signer.bundle(statement({"a": b"b"})))
        mine["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
        site.signature.write_text(json.dumps(mine))
        with pytest.raises(SignatureError, match="does not match the signed payload"):
            verify(site.request())

    def test_an_expired_certificate_is_refused_by_the_given_time(self, site: Site) -> None:
        """The time of verification counts."""
        root = Party.root()
        site.signature.write_bytes(root.issue().bundle(statement()))
        accepted(site, verifiers=(root.verifier,))
        with pytest.raises(SignatureError, match="expired on"):
            verify(site.request(verifiers=(root.verifier,)), now=NOW.replace(year=2028))

    def test_material_is_no_signature(self, site: Site) -> None:
        """An accepted certificate beside somebody else's signature proves nothing."""
        root = Party.root()
        raw = Signer().bundle(
            statement(), edit=lambda made: made.update(verificationMaterial=material(root.issue()))
        )
        site.signature.write_bytes(raw)
        with pytest.raises(SignatureError, match="does not match the signed payload"):
            verify(site.request(verifiers=(root.verifier,)), now=NOW)

    def test_one_signers_refusal_is_said_as_it_is(self, site: Site) -> None:
        """Nobody counts where there is one to count."""
        with pytest.raises(SignatureError) as caught:
            verify(site.request(verifiers=(Signer().verifier,)))
        assert "none of the" not in str(caught.value)


class TestStep4Statement:
    """The payload is an in-toto statement with the OMS predicate."""

    def test_something_else_that_was_signed_is_refused(self, site: Site) -> None:
        """An attestation about the same files is no model signature."""
        site.sign(statement() | {"predicateType": "https://slsa.dev/provenance/v1"})
        with pytest.raises(StatementError, match=r"predicate is 'https://slsa\.dev"):
            verify(site.request())

    def test_another_payload_type_is_refused(self, site: Site) -> None:
        """The type is signed with the payload."""
        raw = site.signer.bundle(statement(), payload_type="application/json")
        site.signature.write_bytes(raw)
        with pytest.raises(StatementError, match="payload is of type"):
            verify(site.request())

    def test_the_older_predicate_needs_to_be_asked_for(self, site: Site) -> None:
        """With it, the files are verified as ever."""
        site.sign(legacy_statement())
        with pytest.raises(StatementError, match="accept it with --allow-legacy"):
            verify(site.request())
        accepted(site, allow_legacy=True)
        (site.model / "config.json").write_bytes(b"[]")
        assert mismatches(site, allow_legacy=True)


class TestStep5Serialization:
    """The signer chooses the serialization of the model."""

    @pytest.mark.parametrize("hash_", ["sha256", "blake2b"])
    @pytest.mark.parametrize("size", [None, 700, 700.0])
    def test_hash_and_shards_are_the_signers(
        self, site: Site, hash_: str, size: float | None
    ) -> None:
        """The verifier need not name them."""
        if size is None:
            signed(site, hash_=hash_)
        else:
            listed = [
                item
                for name, content in FILES.items()
                for item in sharded(name, content, int(size), hash_=hash_)
            ]
            site.sign(statement_of(listed, method="shards", shard_size=size, hash_type=hash_))
        assert accepted(site).hash == hash_

    def test_links_are_the_signers(self, site: Site) -> None:
        """A link stands for its file only where the signer let it."""
        (site.model / "link").symlink_to("config.json")
        files = FILES | {"link": FILES["config.json"]}
        accepted(signed(site, statement(files, allow_symlinks=True)))
        signed(site, statement(files, allow_symlinks=False))
        assert mismatches(site)[0] == ("'link' is a link, and the model was signed without links")

    def test_ignored_paths_are_the_signers_and_reported(self, site: Site) -> None:
        """Paths that the signer left out are not covered, and the report says so."""
        write(site.model, {"notes/draft": b"1", "log": b"2"})
        signed(site, statement(ignore_paths=["notes", "log", "absent"]))
        assert accepted(site).ignored == ("log", "notes")
        write(site.model, {"notes/other": b"", "deep/notes": b""})
        assert mismatches(site) == ("'deep/notes' is not signed",)

    def test_ignored_paths_of_the_policy_are_added(self, site: Site) -> None:
        """The policy may ignore more, by exact paths below the model."""
        write(site.model, {"cache/x": b"", "a/cache": b""})
        assert mismatches(site, ignore_paths=("cache",)) == ("'a/cache' is not signed",)
        accepted(site, ignore_paths=("cache", "a/cache"))

    def test_an_ignored_path_takes_no_signed_file_away(self, site: Site) -> None:
        """Neither the signer's ignores nor the policy's: what is signed is verified."""
        signed(site, statement(ignore_paths=["weights/a.bin"]))
        for changes in ({}, {"ignore_paths": ("weights", "config.json")}):
            assert accepted(site, **changes).files == len(FILES)
        (site.model / "weights" / "a.bin").write_bytes(b"evil")
        write(site.model, {"weights/c.bin": b"unsigned"})
        assert mismatches(site, ignore_paths=("weights",)) == (
            "'weights/a.bin' is not the signed file: its content differs",
        )
        (site.model / "weights" / "a.bin").unlink()
        assert mismatches(site, ignore_paths=("weights",)) == (
            "'weights/a.bin' is signed and missing",
        )

    @pytest.mark.parametrize("name", [".git", ".gitattributes", ".github", ".gitignore"])
    def test_git_paths_are_ignored_at_the_top_only(self, site: Site, name: str) -> None:
        """And only where the policy does."""
        write(site.model, {f"{name}/hook": b""})
        assert accepted(site).ignored == (name,)
        assert mismatches(site, ignore_git_paths=False) == (f"'{name}/hook' is not signed",)
        write(site.model, {f"weights/{name}": b""})
        assert mismatches(site) == (f"'weights/{name}' is not signed",)

    def test_unsigned_files_are_the_policys(self, site: Site) -> None:
        """Let pass, they are counted; the signed ones are verified all the same."""
        write(site.model, {"extra": b"", "weights/extra": b""})
        assert mismatches(site) == ("'extra' is not signed", "'weights/extra' is not signed")
        assert accepted(site, ignore_unsigned_files=True).unsigned == 2
        (site.model / "config.json").write_bytes(b"[]")
        (site.model / "weights" / "b.bin").unlink()
        assert len(mismatches(site, ignore_unsigned_files=True)) == 2


class TestStep6Resources:
    """Names lead nowhere else, and the statement agrees with itself."""

    def test_a_name_that_leads_out_is_refused(self, site: Site) -> None:
        """Although the file is there, and its digest right."""
        write(site.model.parent, {"secret": b"s"})
        for name in ("../secret", str(site.model.parent / "secret")):
            site.sign(statement(FILES | {name: b"s"}))
            with pytest.raises(StatementError, match=r"leads out of the model|is absolute"):
                verify(site.request(ignore_unsigned_files=True))

    def test_a_statement_that_contradicts_itself_is_refused(self, site: Site) -> None:
        """The root digest is what a pin compares: it has to be that of the files."""
        document = statement()
        document["subject"][0]["digest"]["sha256"] = "0" * 64
        site.sign(document)
        with pytest.raises(StatementError, match="contradicts itself"):
            verify(site.request())


class TestTheSignatureFile:
    """The given signature is never part of the tree, whatever its name; nothing else hides so."""

    @pytest.mark.parametrize("name", ["model.sig", "weights/granite.sig", "claims.json", ".sig"])
    def test_it_may_lie_anywhere(self, site: Site, name: str) -> None:
        """In the model, under any name; then the former one is an unsigned file."""
        moved = replace(site, signature=site.model / name)
        site.signature.rename(moved.signature)
        accepted(moved)
        write(site.model, {"model.sig" if name != "model.sig" else "other.sig": b""})
        assert mismatches(moved)

    def test_it_may_lie_outside(self, site: Site, tmp_path: Path) -> None:
        """Then the model holds signed files only."""
        moved = replace(site, signature=tmp_path / "elsewhere.sig")
        site.signature.rename(moved.signature)
        accepted(moved)

    def test_a_bundle_in_a_signed_files_place_is_refused(self, site: Site) -> None:
        """A bundle named config.json cannot stand for the config.json that was signed."""
        site.signature.rename(site.model / "config.json")
        assert mismatches(replace(site, signature=site.model / "config.json")) == (
            "'config.json' is signed and missing",
        )

    def test_a_bundle_that_the_workload_opens_is_refused(self, site: Site) -> None:
        """A signature is JSON, and so is a configuration: what is opened must be signed."""
        moved = replace(site, signature=site.model / "generation_config.json")
        site.signature.rename(moved.signature)
        accepted(moved)
        assert mismatches(moved, must_cover=("generation_config.json",)) == (
            "the workload opens 'generation_config.json', which the signature does not cover",
        )

    def test_a_signature_that_is_a_link_hides_nothing(self, site: Site) -> None:
        """A link `model.sig` leads to an ordinary file of the model."""
        site.signature.rename(site.model / "tokenizer.json")
        site.signature.symlink_to("tokenizer.json")
        assert mismatches(site) == ("'tokenizer.json' is not signed",)

    def test_another_spelling_of_the_signature_is_another_file(self, site: Site) -> None:
        """A hard link to the signature is an unsigned file."""
        (site.model / "copy.sig").hardlink_to(site.signature)
        assert mismatches(site) == ("'copy.sig' is not signed",)

    def test_a_directory_that_takes_its_place_is_seen(self, site: Site) -> None:
        """Between reading the signature and listing the model, or later."""

        def swap() -> None:
            site.signature.unlink()
            write(site.signature, {"plugin.py": b"evil"})

        assert during(site, swap) == (
            "'model.sig/plugin.py' was changed while the model was verified",
        )


class TestStep7Pin:
    """It is the pinned model."""

    def test_another_model_of_the_same_signer_is_refused(self, site: Site) -> None:
        """An older or other one verifies, but is not the one that was meant."""
        digest = f"sha256:{accepted(site).digest}"
        accepted(site, digests=(digest,))
        accepted(site, digests=("sha256:" + "0" * 64, digest))
        (site.model / "config.json").write_bytes(b"older")
        signed(site)
        accepted(site)
        with pytest.raises(PinError, match=f"not the pinned one: .* {digest} is demanded"):
            verify(site.request(digests=(digest,)))

    def test_the_digest_of_the_statement_pins_names_and_ignored_paths(self, site: Site) -> None:
        """The root digest has neither: what it lets pass, the second form of pin refuses."""
        report = accepted(site)
        root, whole = f"sha256:{report.digest}", f"statement:sha256:{report.statement_digest}"
        accepted(site, digests=(whole,))
        accepted(site, digests=("sha256:" + "0" * 64, whole))
        (site.model / "config.json").rename(site.model / "config.jsom")
        for ignored in ([], ["cache"]):
            signed(site, ignore_paths=ignored)
            accepted(site, digests=(root,))
            accepted(site, digests=(root, whole))
            with pytest.raises(PinError, match=f"not the pinned one: .* {whole} is demanded"):
                verify(site.request(digests=(whole,)))

    def test_one_kind_of_pin_does_not_stand_for_the_other(self, site: Site) -> None:
        """A digest counts under its own prefix only."""
        report = accepted(site)
        for pin in (f"sha256:{report.statement_digest}", f"statement:sha256:{report.digest}"):
            with pytest.raises(PinError):
                verify(site.request(digests=(pin,)))

    def test_a_pin_without_a_signature_is_nothing(self, site: Site) -> None:
        """Names are not in the digest: only a signature binds them."""
        digest = f"sha256:{accepted(site).digest}"
        with pytest.raises(SignatureError):
            verify(site.request(digests=(digest,), verifiers=(Signer().verifier,)))


@pytest.fixture
def public_site(public_path: Path, signer: Signer) -> Site:
    """The same signed directory, where other users can read it."""
    model = write(public_path / "granite", FILES)
    return signed(Site(model, model / "model.sig", signer))


class TestStep8Walking:
    """The model is listed without leaving it."""

    @pytest.mark.parametrize("unsigned", [True, False])
    def test_special_files_are_refused(self, site: Site, *, unsigned: bool) -> None:
        """Signed or not, let pass or not: a FIFO beside the files never ends."""
        os.mkfifo(site.model / "weights" / "pipe")
        assert mismatches(site, ignore_unsigned_files=unsigned) == (
            "'weights/pipe' is a FIFO, and a model has only files",
        )

    def test_a_signed_file_that_became_a_fifo_is_refused(self, site: Site) -> None:
        """The verification does not wait for its writer."""
        (site.model / "config.json").unlink()
        os.mkfifo(site.model / "config.json")
        assert set(mismatches(site)) == {
            "'config.json' is a FIFO, and a model has only files",
            "'config.json' is signed and missing",
        }

    @pytest.mark.parametrize("target", ["../outside/config.json", "/etc/passwd", "../granite/x"])
    def test_a_link_out_of_the_model_is_refused(self, site: Site, target: str) -> None:
        """Although links are signed, and the content is right."""
        write(site.model.parent, {"outside/config.json": FILES["config.json"]})
        (site.model / "config.json").unlink()
        (site.model / "config.json").symlink_to(target)
        signed(site, statement(allow_symlinks=True))
        assert "leads out of the model" in mismatches(site)[0]

    @pytest.mark.parametrize("links", [True, False])
    def test_what_lies_in_a_linked_directory_is_covered_or_refused(
        self, site: Site, *, links: bool
    ) -> None:
        """The workload reads through it, so its files are the model's."""
        (site.model / "linked").symlink_to("weights")
        signed(site, statement(allow_symlinks=links))
        said = mismatches(site)
        if links:
            assert said == ("'linked/a.bin' is not signed", "'linked/b.bin' is not signed")
        else:
            assert said == ("'linked' is a link, and the model was signed without links",)

    def test_an_unsigned_link_is_refused_where_unsigned_files_pass(self, site: Site) -> None:
        """Links are the signer's to allow; unsigned files are no links."""
        (site.model / "link").symlink_to("config.json")
        assert mismatches(site, ignore_unsigned_files=True)

    def test_a_circle_is_refused(self, site: Site) -> None:
        """And ends."""
        (site.model / "weights" / "up").symlink_to("..")
        signed(site, statement(allow_symlinks=True))
        limits = Limits(entries=1000)
        (said,) = mismatches(site, limits=limits)
        assert said.startswith("'weights/up' leads in a circle: remove the link")

    def test_an_unreadable_file_leaves_the_verdict_open(
        self,
        public_site: Site,
        unprivileged: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Neither verified nor refused: its contents are unknown."""
        site, model = public_site, public_site.model
        (model / "config.json").chmod(0)
        with (
            unprivileged(),
            pytest.raises(
                Undecided, match=r"cannot be verified: 'config\.json' cannot be read: Permission"
            ),
        ):
            verify(site.request())

    def test_an_unreadable_directory_leaves_the_verdict_open(
        self,
        public_site: Site,
        unprivileged: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """It could contain unsigned files."""
        site, model = public_site, public_site.model
        (model / "closed").mkdir(mode=0)
        for unsigned in (True, False):
            with unprivileged(), pytest.raises(Undecided, match="'closed' cannot be read"):
                verify(site.request(ignore_unsigned_files=unsigned))

    @pytest.mark.parametrize("changes", [{}, {"ignore_paths": ("weights",)}])
    def test_what_lies_in_an_unreadable_directory_is_not_called_missing(
        self,
        public_site: Site,
        unprivileged: Callable[[], AbstractContextManager[None]],
        changes: dict[str, Any],
    ) -> None:
        """Signed files may be there or not, also where the directory is ignored."""
        site, model = public_site, public_site.model
        (model / "weights").chmod(0)
        with unprivileged(), pytest.raises(Undecided, match="Permission denied"):
            verify(site.request(**changes))
        (model / "config.json").unlink()
        with unprivileged():
            said = mismatches(site, **changes)
        assert said[0] == "'config.json' is signed and missing"
        assert all("Permission denied" in other for other in said[1:])
        (model / "weights").chmod(0o755)

    def test_a_mismatch_outweighs_what_cannot_be_read(
        self,
        public_site: Site,
        unprivileged: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """A model that is surely another one is refused, and the rest is said, too."""
        site, model = public_site, public_site.model
        (model / "config.json").chmod(0)
        (model / "weights" / "a.bin").write_bytes(b"evil")
        with unprivileged():
            said, user = mismatches(site), os.geteuid()
        assert said == (
            "'weights/a.bin' is not the signed file: its content differs",
            f"'config.json' cannot be read: Permission denied: let user {user} read it",
        )


class TestStep9Files:
    """The files are the signed ones, and nothing else is there."""

    @pytest.mark.parametrize("name", FILES)
    def test_every_signed_file_must_be_there(self, site: Site, name: str) -> None:
        """By its name, as a file."""
        (site.model / name).unlink()
        assert mismatches(site) == (f"'{name}' is signed and missing",)

    @pytest.mark.parametrize(
        "name", ["extra", "weights/extra", ".hidden", "model.sig.bak", "CONFIG.JSON"]
    )
    def test_no_unsigned_file_may_be_there(self, site: Site, name: str) -> None:
        """Even an empty one can change what is loaded."""
        write(site.model, {name: b""})
        assert mismatches(site) == (f"'{name}' is not signed",)

    @pytest.mark.parametrize("name", FILES)
    def test_every_flipped_byte_is_noticed(self, site: Site, name: str) -> None:
        """The size stays, the content differs."""
        content = bytearray((site.model / name).read_bytes())
        content[-1] ^= 1
        (site.model / name).write_bytes(content)
        assert mismatches(site) == (f"'{name}' is not the signed file: its content differs",)

    def test_two_files_that_changed_places_are_noticed(self, site: Site) -> None:
        """A digest belongs to a name."""
        weights = site.model / "weights"
        (weights / "a.bin").rename(weights / "c.bin")
        (weights / "b.bin").rename(weights / "a.bin")
        (weights / "c.bin").rename(weights / "b.bin")
        assert len(mismatches(site)) == 2

    def test_all_differences_are_said_and_not_only_the_first(self, site: Site) -> None:
        """People fix a model once."""
        (site.model / "config.json").write_bytes(b"[]")
        (site.model / "weights" / "a.bin").unlink()
        write(site.model, {"extra": b""})
        os.mkfifo(site.model / "pipe")
        assert mismatches(site) == (
            "'pipe' is a FIFO, and a model has only files",
            "'weights/a.bin' is signed and missing",
            "'extra' is not signed",
            "'config.json' is not the signed file: its content differs",
        )
        assert len(mismatches(site, limits=Limits(mismatches=2))) == 2
        with pytest.raises(ModelError, match=r"is a FIFO, .* \(and 3 more\)"):
            verify(site.request())

    def shards(self, site: Site) -> Site:
        """Sign the site's model in shards of 1000 bytes."""
        listed = [item for name, content in FILES.items() for item in sharded(name, content, 1000)]
        return signed(site, statement_of(listed, method="shards", shard_size=1000))

    @pytest.mark.parametrize("unsigned", [True, False])
    @pytest.mark.parametrize(("size", "says"), [(1001, "1,001"), (999, "999"), (0, "0")])
    def test_bytes_after_the_last_shard_are_noticed(
        self, site: Site, size: int, says: str, *, unsigned: bool
    ) -> None:
        """Shards say the size: what is appended or cut off would be in none of them."""
        accepted(self.shards(site))
        with (site.model / "weights" / "a.bin").open("r+b") as file:
            file.truncate(size)
        assert mismatches(site, ignore_unsigned_files=unsigned) == (
            f"'weights/a.bin' has {says} bytes, and 1,000 were signed",
        )

    def test_a_flipped_byte_in_any_shard_is_noticed_once(self, site: Site) -> None:
        """A file is one mismatch, however many of its shards differ."""
        self.shards(site)
        (site.model / "weights" / "b.bin").write_bytes(b"c" * 3000)
        assert mismatches(site) == ("'weights/b.bin' is not the signed file: its content differs",)

    def test_an_empty_file_beside_shards_is_noticed(self, site: Site) -> None:
        """It has no shard, and so it is not signed."""
        write(self.shards(site).model, {"__init__.py": b""})
        assert mismatches(site) == ("'__init__.py' is not signed",)

    def test_a_directory_is_not_the_single_file_that_was_signed(
        self, site: Site, tmp_path: Path
    ) -> None:
        """And the other way round."""
        site.sign(statement({".": b"weights"}))
        assert mismatches(site) == (
            "the model is a directory, and a single file was signed: name that file",
        )
        write(tmp_path, {"model.gguf": b"weights"})
        single = replace(site, model=tmp_path / "model.gguf")
        assert accepted(single).files == 1
        for files in ({"a/model.gguf": b"weights"}, {"model.gguf": b"weights", "b": b""}):
            single.sign(statement(files))
            (said,) = mismatches(single)
            assert said.startswith("the model is a single file, and a directory was signed: name")

    @pytest.mark.parametrize("shards", [False, True])
    def test_a_single_file_may_be_signed_by_its_name(
        self, site: Site, tmp_path: Path, *, shards: bool
    ) -> None:
        """OMS 6.1.2 (5); the path in the request says which file, and a copy is noted."""
        content = b"weights" * 100

        def signed_as(name: str) -> Document:
            if shards:
                listed = sharded(name, content, 300)
                return statement_of(listed, method="shards", shard_size=300)
            return statement({name: content})

        write(tmp_path, {"model.gguf": content})
        single = replace(site, model=tmp_path / "model.gguf")
        for name in ("model.gguf", "."):
            single.sign(signed_as(name))
            assert accepted(single).files == 1
            assert not accepted(single, must_cover=(".",)).notes
        single.sign(signed_as("other.gguf"))
        assert accepted(single).notes == ("the file was signed under the name 'other.gguf'",)
        for changed in (content + b"x", content[:-1], b"x" + content[1:]):
            (tmp_path / "model.gguf").write_bytes(changed)
            assert mismatches(single)

    @pytest.mark.parametrize(
        ("old", "new"),
        [("\u00fc", "u\u0308"), ("a", "\u0430"), ("a", "a "), ("a", "A"), ("\ufb01", "fi")],
    )
    def test_names_are_compared_byte_for_byte(self, site: Site, old: str, new: str) -> None:
        """Composed or decomposed, Latin or Cyrillic: what looks alike is another file."""
        write(site.model, {old: b"x"})
        signed(site)
        accepted(site)
        (site.model / old).rename(site.model / new)
        said = mismatches(site)
        assert len(said) == 2
        assert said[0].endswith("is signed and missing")
        assert said[1].endswith("is not signed")

    def test_a_name_that_is_not_utf8_is_never_a_signed_one(self, site: Site) -> None:
        """Bytes that no statement can carry are refused, shown escaped."""
        (site.model / os.fsdecode(b"weights/\xff.bin")).touch()
        assert mismatches(site) == (r"'weights/\udcff.bin' is not signed",)

    def test_what_the_workload_opens_must_be_signed(self, site: Site) -> None:
        """Files by their name, directories by what is signed in them, the root always."""
        write(site.model, {"notes/a": b"", "extra": b"", ".git/x": b""})
        signed(site, statement(ignore_paths=["notes"]))
        asked: dict[str, Any] = {"ignore_unsigned_files": True}
        accepted(site, must_cover=(".", "config.json", "weights"), **asked)
        for path in ("notes", "notes/a", "extra", ".git", "absent", "weight", "config.json/x"):
            assert mismatches(site, must_cover=(path,), **asked) == (
                f"the workload opens '{path}', which the signature does not cover",
            )

    def test_a_directory_that_is_ignored_is_not_covered_by_one_signed_file(
        self, site: Site
    ) -> None:
        """The workload would also open the unsigned files beside that file."""
        signed_too = {"notes/a/signed": b"1"}
        write(site.model, signed_too)
        signed(site, statement(FILES | signed_too, ignore_paths=["notes"]))
        write(site.model, {"notes/a/unsigned": b"1"})
        accepted(site, must_cover=("notes/a/signed",))
        for path in ("notes", "notes/a"):
            assert mismatches(site, must_cover=(path,)) == (
                f"the workload opens '{path}', which the signature does not cover",
            )


@pytest.mark.usefixtures("in_order")
class TestStep9Races:
    """Nothing may move while the model is verified."""

    @pytest.fixture
    def site(self, site: Site) -> Site:
        """A model whose first file is hashed before the others are opened."""
        return signed(Site(write(site.model, {"0": b"0"}), site.signature, site.signer))

    def test_a_file_that_is_changed_before_it_is_opened(self, site: Site) -> None:
        """It is not what was listed."""
        path = site.model / "weights" / "b.bin"
        said = during(site, lambda: path.write_bytes(b"b" * 3000))
        assert said == ("'weights/b.bin' was changed while the model was verified",)

    def test_a_file_that_is_changed_after_it_was_hashed(self, site: Site) -> None:
        """The second walk finds another state, although every digest was right."""
        said = during(site, lambda: (site.model / "0").write_bytes(b"1"), read=2)
        assert said == ("'0' was changed while the model was verified",)

    def test_a_file_that_vanishes(self, site: Site) -> None:
        """It was listed, and is gone."""
        said = during(site, (site.model / "weights" / "b.bin").unlink)
        assert said == ("'weights/b.bin' was changed while the model was verified",)

    def test_a_file_that_appears(self, site: Site) -> None:
        """It was not there when the names were compared; it is now."""
        said = during(site, (site.model / "weights" / "plugin.py").touch)
        assert said == ("'weights/plugin.py' was changed while the model was verified",)

    def test_a_file_that_appears_where_unsigned_ones_may_lie(self, site: Site) -> None:
        """Nobody demands anything of it."""
        request = site.request(ignore_unsigned_files=True)
        report = verify(request, progress=lambda _done, _total: (site.model / "new").touch())
        assert report.verdict is Verdict.VERIFIED

    def test_a_file_that_grows_or_shrinks(self, site: Site) -> None:
        """In size only."""
        path = site.model / "weights" / "b.bin"
        for size in (3001, 10):
            site.model.joinpath("weights/b.bin").write_bytes(b"b" * 3000)
            said = during(site, partial(os.truncate, path, size))
            assert said == ("'weights/b.bin' was changed while the model was verified",)

    def test_a_file_that_becomes_something_else(self, site: Site) -> None:
        """A FIFO in its place does not block, and a link is not followed."""
        path = site.model / "weights" / "b.bin"

        def become(make: Callable[[], object]) -> None:
            path.unlink()
            make()

        expected = "'weights/b.bin' was changed while the model was verified"
        assert expected in during(site, lambda: become(lambda: os.mkfifo(path)))
        path.unlink()
        path.write_bytes(FILES["weights/b.bin"])
        write(site.model.parent, {"b.bin": FILES["weights/b.bin"]})
        assert expected in during(site, lambda: become(lambda: path.symlink_to("../../b.bin")))

    def test_a_directory_that_becomes_a_link(self, site: Site) -> None:
        """The very same files under another roof are not what was listed."""
        copy = write(site.model.parent / "copy", {"b.bin": FILES["weights/b.bin"]})

        def swap() -> None:
            (site.model / "weights").rename(site.model.parent / "weights")
            (site.model / "weights").symlink_to(copy)

        said = during(site, swap)
        assert "'weights/b.bin' was changed while the model was verified" in said
        assert "'weights' is a link, and the model was signed without links" in said

    def test_a_directory_that_is_swapped_there_and_back(self, site: Site) -> None:
        """Both walks find the same; what was opened in between was something else."""
        write(site.model, {"z/last": b"z"})
        signed(site)
        write(site.model.parent / "evil", {"a.bin": FILES["weights/a.bin"], "b.bin": b"evil"})
        weights, aside, evil = (
            site.model / "weights",
            site.model.parent / "aside",
            site.model.parent / "evil",
        )

        def swap() -> None:
            weights.rename(aside)
            evil.rename(weights)

        def swap_back() -> None:
            weights.rename(evil)
            aside.rename(weights)

        # Nothing of what was swapped is read, so the third read is that of the last file.
        assert mismatches_during(site, {1: swap, 3: swap_back}) == (
            "'weights/a.bin' was changed while the model was verified",
            "'weights/b.bin' was changed while the model was verified",
        )

    def test_a_link_that_is_repointed(self, site: Site) -> None:
        """To a file of the same content, even: the state was another one."""
        write(site.model, {"same": b"0"})
        (site.model / "1-link").symlink_to("0")
        signed(
            site, statement(FILES | {"0": b"0", "same": b"0", "1-link": b"0"}, allow_symlinks=True)
        )
        accepted(site)

        def repoint() -> None:
            (site.model / "1-link").unlink()
            (site.model / "1-link").symlink_to("same")

        said = during(site, repoint)
        assert said == ("'1-link' was changed while the model was verified",)

    def test_a_model_that_is_swapped_as_a_whole(self, site: Site) -> None:
        """By rename, as atomic updates do: the path leads to unverified files now."""
        write(site.model.parent / "next", {"config.json": b"evil"})

        def swap() -> None:
            site.model.rename(site.model.parent / "previous")
            (site.model.parent / "next").rename(site.model)

        assert during(site, swap) == ("the model was replaced while it was verified",)


class TestStep10Report:
    """The report says what was verified, and what was not covered."""

    def test_the_report_says_what_holds(self, site: Site) -> None:
        """Model, signer, digest, files, bytes, hash, and how long it took."""
        report = accepted(site)
        assert report.model == str(site.model)
        assert report.signer
        assert report.signer.method is Method.KEY
        assert report.files == 3
        assert report.bytes == sum(map(len, FILES.values()))
        assert report.hash == "sha256"
        assert report.digest == statement()["subject"][0]["digest"]["sha256"]
        assert report.seconds > 0

    def test_the_report_says_what_is_not_covered(self, site: Site) -> None:
        """Ignored paths that exist, unsigned files, and what the signer's certificate is like."""
        root = Party.root()
        leaf = root.issue("root", replace(LEAF, key_ids=True))
        site.signature.write_bytes(leaf.bundle(statement(ignore_paths=["log"])))
        write(site.model, {".git/x": b"", "log": b"", "extra": b""})
        report = accepted(site, verifiers=(root.verifier,), ignore_unsigned_files=True)
        assert report.ignored == (".git", "log")
        assert report.unsigned == 1
        assert report.notes == ("the signer's certificate names itself as its issuer",)

    def test_progress_reaches_the_end(self, site: Site) -> None:
        """Done becomes all, and never more."""
        seen: list[tuple[int, int]] = []
        verify(site.request(), progress=lambda done, total: seen.append((done, total)))
        total = sum(map(len, FILES.values()))
        assert {all_ for _, all_ in seen} == {total}
        assert max(done for done, _ in seen) == total


class TestHuggingFaceCache:
    """The snapshot view is what is signed; names and contents belong together."""

    @pytest.fixture
    def snapshot(self, tmp_path: Path, signer: Signer) -> Site:
        """A cache with one revision, its snapshot signed with links."""
        cache = write(
            tmp_path / "models--acme--granite", {"blobs/aa": b"good", "blobs/bb": b"evil"}
        )
        model = cache / "snapshots" / "rev"
        model.mkdir(parents=True)
        (model / "model.py").symlink_to("../../blobs/aa")
        (model / "notes").symlink_to("../../blobs/bb")
        site = Site(model, model / "model.sig", signer)
        site.sign(statement({"model.py": b"good", "notes": b"evil"}, allow_symlinks=True))
        return site

    def test_a_snapshot_verifies(self, snapshot: Site) -> None:
        """Through its links into blobs/."""
        accepted(snapshot)

    def test_a_repointed_name_is_refused(self, snapshot: Site) -> None:
        """Both blobs are signed; which name leads where is signed, too."""
        (snapshot.model / "model.py").unlink()
        (snapshot.model / "model.py").symlink_to("../../blobs/bb")
        assert mismatches(snapshot) == ("'model.py' is not the signed file: its content differs",)

    def test_a_changed_blob_is_refused(self, snapshot: Site) -> None:
        """Under the name that leads to it."""
        (snapshot.model / "../../blobs/aa").resolve().write_bytes(b"evil")
        assert mismatches(snapshot) == ("'model.py' is not the signed file: its content differs",)

    def test_a_signature_over_the_blobs_does_not_cover_a_snapshot(self, snapshot: Site) -> None:
        """A writer of the volume could point every name to another blob."""
        blobs = replace(snapshot, model=snapshot.model.parents[1] / "blobs")
        snapshot.sign(statement({"aa": b"good", "bb": b"evil"}, allow_symlinks=True))
        accepted(blobs)
        assert len(mismatches(snapshot)) == 4

    def test_unsigned_blobs_are_not_the_snapshots(self, snapshot: Site) -> None:
        """Other revisions' blobs lie there, too, and no name of this one leads to them."""
        (snapshot.model / "../../blobs/cc").resolve().write_bytes(b"other")
        accepted(snapshot)


def test_many_files_in_many_folders_are_all_covered(site: Site) -> None:
    """Each one counts: a byte in any of them is noticed."""
    write(site.model, {f"d{number % 20}/f{number}": b"%d" % number for number in range(400)})
    assert accepted(signed(site)).files == 400 + len(FILES)
    for number in range(0, 400, 37):
        path = site.model / f"d{number % 20}" / f"f{number}"
        content = path.read_bytes()
        path.write_bytes(b"x" * len(content))
        assert len(mismatches(site)) == 1
        path.write_bytes(content)
    accepted(site)


def test_an_empty_file_is_a_file(site: Site) -> None:
    """Signed, it must stay empty; there is no progress to tell."""
    for name in FILES:
        (site.model / name).write_bytes(b"")
    signed(site)
    assert accepted(site).bytes == 0
    (site.model / "config.json").write_bytes(b"x")
    assert mismatches(site) == ("'config.json' is not the signed file: its content differs",)


def test_one_digest_for_two_names_is_two_files(site: Site) -> None:
    """Equal contents under two names are both looked at."""
    write(site.model, {"a": b"same", "b": b"same"})
    listed = [
        resource(name, content) for name, content in (FILES | {"a": b"same", "b": b"same"}).items()
    ]
    site.sign(statement_of(listed))
    accepted(site)
    (site.model / "b").unlink()
    assert mismatches(site) == ("'b' is signed and missing",)


def test_a_model_that_is_not_there_is_said_before_its_signature(site: Site) -> None:
    """Where both are missing, the model is what has to be looked for."""
    shutil.rmtree(site.model)
    with pytest.raises(ModelError, match="there is no model at"):
        verify(site.request(), now=NOW)
