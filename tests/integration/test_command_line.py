"""The `model-validator` command as people, CI and the gate run it: in processes of its own."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.certificates import Party
from tests.support.ended import Ended
from tests.support.signed_model import (
    FILES,
    Document,
    Signer,
    Site,
    legacy_statement,
    sharded,
    statement,
    statement_of,
    write,
)
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.sigstore import PrivateSigstore

COMMAND: Final = (sys.executable, "-I", "-m", "validator")
TIMEOUT_SECONDS: Final = 60


def run(
    *arguments: object,
    prefix: tuple[str, ...] = COMMAND,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run the command; whatever it is given, it never ends in a traceback."""
    done = subprocess.run(
        [*prefix, *map(os.fsencode, map(str, arguments))],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_SECONDS,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ended.text
    assert "please report it" not in ended.text
    assert ended.code in set(contract.ExitCode)
    return ended


@dataclass(frozen=True, slots=True)
class Desk:
    """A model, signed by a key, with all that is needed to verify it."""

    folder: Path
    site: Site
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.folder / "key.pub")
        self.key.write_bytes(self.site.signer.public_pem)

    def verify(self, *arguments: object, **how: Any) -> Ended:
        """Verify the model by its key."""
        return run("verify", "key", self.site.model, "--public-key", self.key, *arguments, **how)

    def policy(self, **spec: Any) -> Document:
        """Return a policy for the model."""
        made = {
            "model": {"path": str(self.site.model)},
            "config": {"privateKeyConfig": {"publicKey": self.key.read_text()}},
        } | spec
        return {
            "apiVersion": contract.API_VERSION,
            "kind": contract.KIND,
            "metadata": {"name": "granite", "namespace": "team", "generation": 3},
            "spec": {name: value for name, value in made.items() if value is not None},
        }

    def gate(self, *arguments: object, cover: object = None, **spec: Any) -> Ended:
        """Run what the webhook injects: the policy in the environment, what to cover beside it."""
        environment = {contract.POLICY_VARIABLE: json.dumps(self.policy(**spec))}
        if cover is not None:
            environment[contract.COVER_VARIABLE] = (
                cover if isinstance(cover, str) else json.dumps(cover)
            )
        return run("verify", "policy", *arguments, environment=environment)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A model `granite` of three files, honestly signed."""
    model = write(tmp_path / "granite", FILES)
    site = Site(model, model / "model.sig", Signer())
    site.sign(statement())
    return Desk(tmp_path, site)


def test_the_installed_command_is_the_module(desk: Desk) -> None:
    """The console script and the interpreter's -m say the same."""
    script = Path(sys.executable).with_name("model-validator")
    if not script.exists():
        pytest.skip("the project is not installed beside this interpreter: pip install -e .")
    ended = run("verify", "key", desk.site.model, "--public-key", desk.key, prefix=(str(script),))
    assert ended.code == 0
    assert ended.out.startswith(f"Verification succeeded: {desk.site.model}\n")
    assert "  3 files, 3.9 KiB, sha256\n" in ended.out


def test_a_verified_model_ends_with_zero(desk: Desk) -> None:
    """The verdict goes to standard output, and nothing to standard error."""
    ended = desk.verify()
    assert (ended.code, ended.err) == (0, "")


def test_json_is_one_object(desk: Desk) -> None:
    """Verified or refused, on standard output, with the same fields."""
    ended = desk.verify("--format", "json")
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"], document["files"]) == (0, "verified", 3)
    (desk.site.model / "extra").touch()
    (desk.site.model / "config.json").unlink()
    ended = desk.verify("--format=json")
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"]) == (1, "refused")
    assert document["mismatches"] == [
        "'config.json' is signed and missing",
        "'extra' is not signed",
    ]
    desk.key.unlink()
    assert desk.verify("--format=json").code == 3


def test_a_refused_model_ends_with_one(desk: Desk) -> None:
    """The words that people search for, the reason, and every file."""
    (desk.site.model / "config.json").write_bytes(b"[]")
    ended = desk.verify()
    assert ended.code == 1
    assert ended.out == (
        "Verification failed: the model is not the signed one: 'config.json' is not the signed "
        "file: its content differs\n"
    )


def replaced(content: bytes) -> Callable[[Desk], object]:
    """Return a change that replaces the signature file's content."""
    return lambda desk: desk.site.signature.write_bytes(content)


def resigned(document: Document | bytes) -> Callable[[Desk], object]:
    """Return a change that signs another statement."""
    return lambda desk: desk.site.sign(document)


def made(make: Callable[[Path], object], name: str) -> Callable[[Desk], object]:
    """Return a change that makes something in the model."""

    def change(desk: Desk) -> None:
        path = desk.site.model / name
        path.unlink(missing_ok=True)
        make(path)

    return change


def edited(**changes: Any) -> bytes:
    """Return a bundle's text with parts replaced."""
    document = json.loads(Signer().bundle(statement()))
    return json.dumps(document | changes).encode()


def bound(path: Path) -> None:
    """Leave a socket behind."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has 108 bytes at most
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


REFUSED: Final[dict[str, tuple[Callable[[Desk], object], str]]] = {
    "no signature": (lambda desk: desk.site.signature.unlink(), "there is no signature file at"),
    "no model": (lambda desk: shutil.rmtree(desk.site.model), "there is no"),
    "empty bundle": (replaced(b""), "the signature file is not JSON"),
    "truncated bundle": (replaced(edited()[:-10]), "the signature file is not JSON"),
    "bundle that is no JSON": (replaced(b"\x80\x04."), "is not JSON: byte 0 is not UTF-8"),
    "deeply nested bundle": (replaced(b"[" * 500_000), "is nested too deeply"),
    "rather nested bundle": (
        replaced(b'{"a":' * 100 + b"1" + b"}" * 100),
        "nested deeper than 32 levels",
    ),
    "huge bundle": (
        lambda desk: os.truncate(desk.site.signature, 2**36),
        "is larger than 67,108,864 bytes",
    ),
    "bundle of other JSON": (replaced(b'{"a": 1}'), "is not a Sigstore bundle"),
    "bundle that is a directory": (made(Path.mkdir, "model.sig"), "is not a regular file"),
    "bundle that is a FIFO": (made(os.mkfifo, "model.sig"), "is not a regular file"),
    "log entries that are a number": (
        replaced(edited(verificationMaterial={"publicKey": {}, "tlogEntries": 5})),
        "tlogEntries are not a list",
    ),
    "unknown predicate": (
        resigned(statement() | {"predicateType": "https://slsa.dev/provenance/v1"}),
        "predicate is 'https://slsa.dev/provenance/v1'",
    ),
    "older predicate": (resigned(legacy_statement()), "accept it with --allow-legacy"),
    "unknown hash": (
        resigned(statement_of([{"name": "a", "digest": "00"}], hash_type="md5")),
        "uses the hash 'md5', and sha256, blake2b, blake3 are known",
    ),
    "unknown method": (resigned(statement(method="tree")), "serialization method 'tree'"),
    "algorithm that is a list": (
        resigned(statement_of([{"name": "a", "algorithm": [], "digest": "00"}])),
        "is hashed by '[]'",
    ),
    "name that leads out": (resigned(statement({"../x": b""})), "and it leads out of the model"),
    "absolute name": (resigned(statement({"/etc/passwd": b""})), "and it is absolute"),
    "name twice": (
        resigned(statement_of(statement()["predicate"]["resources"] * 2)),
        "names 'config.json' twice",
    ),
    "name that is not UTF-8": (
        lambda desk: desk.site.sign(
            json.dumps(statement({"x": b""})).replace('"x"', r'"\udcff"').encode()
        ),
        "and it is not valid UTF-8",
    ),
    "no resources": (resigned(statement_of([])), "an empty model is refused"),
    "shards with a gap": (
        resigned(statement_of(sharded("a", b"x" * 30, 10)[::2], method="shards", shard_size=10)),
        "do not add up to a file",
    ),
    "FIFO in the model": (made(os.mkfifo, "pipe"), "'pipe' is a FIFO"),
    "socket in the model": (made(bound, "socket"), "'socket' is a socket"),
    "FIFO for a file": (made(os.mkfifo, "config.json"), "'config.json' is a FIFO"),
    "link in the model": (
        made(lambda path: path.symlink_to("config.json"), "link"),
        "'link' is a link, and the model was signed without links",
    ),
    "linked directory": (
        made(lambda path: path.symlink_to("weights"), "linked"),
        "'linked' is a link, and the model was signed without links",
    ),
    "file that is not UTF-8": (
        made(Path.touch, "\udcff\n\x1b[2J"),
        r"'\udcff\n\x1b[2J' is not signed",
    ),
    "another key": (
        lambda desk: desk.key.write_bytes(Signer().public_pem),
        "the model was signed by another key",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_sentence(desk: Desk, case: str) -> None:
    """Exit code 1, one sentence that says what is wrong, and nothing of our inside."""
    change, said = REFUSED[case]
    change(desk)
    ended = desk.verify()
    assert ended.code == 1
    assert ended.out.startswith("Verification failed: ")
    assert said in ended.out
    assert ended.err == ""


LINKED: Final[dict[str, tuple[str, str]]] = {
    "out of the root": ("../outside", "leads out of the model"),
    "to an absolute path": ("/etc", "is absolute and leads out of the model"),
    "in a circle": ("odd", "leads in a circle"),
    "to the directory above": (".", "leads in a circle"),
    "to nothing": ("nothing", "leads to nothing"),
}


@pytest.mark.parametrize("case", LINKED)
def test_links_that_lead_elsewhere_are_refused(desk: Desk, case: str) -> None:
    """Also where the signer allowed links."""
    target, said = LINKED[case]
    (desk.folder / "outside").mkdir()
    (desk.site.model / "odd").symlink_to(target)
    desk.site.sign(statement(allow_symlinks=True))
    ended = desk.verify()
    assert ended.code == 1
    assert said in ended.out


MISUSED: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "nothing": ((), "the following arguments are required: COMMAND"),
    "no method": (("verify",), "required: METHOD"),
    "unknown method": (("verify", "gpg"), "invalid choice: 'gpg'"),
    "no key": (("verify", "key", "{model}"), "--public-key"),
    "no identity": (("verify", "sigstore", "{model}"), "--identity"),
    "no authority": (("verify", "certificate", "{model}"), "--certificate-chain"),
    "abbreviated option": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--ignore-unsigned"),
        "unrecognized arguments: --ignore-unsigned",
    ),
    "no jobs": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--jobs", "0"),
        "invalid positive number value: '0'",
    ),
    "digest of another kind": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--digest", "sha512:00"),
        "--digest 'sha512:00' is not 'sha256:' and 64 lower-case hexadecimal digits",
    ),
    "key that is a certificate": (
        ("verify", "key", "{model}", "--public-key", "{ca}"),
        "not a public key in PEM form",
    ),
    "key that is private": (
        ("verify", "key", "{model}", "--public-key", "{private}"),
        "it looks like a private key",
    ),
    "authority that is a key": (
        ("verify", "certificate", "{model}", "--certificate-chain", "{key}"),
        "not certificates in PEM form",
    ),
    "two roots": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            *("--trust-config={key}", "--trusted-root={key}"),
        ),
        "not allowed with argument",
    ),
    "file and public instance": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            *("--trusted-root={key}", "--staging"),
        ),
        "--staging and --online choose a public root",
    ),
    "root that is none": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            "--trusted-root={key}",
        ),
        "the trusted root is not JSON",
    ),
    "policy that is none": (("verify", "policy", "{key}"), "expected a mapping"),
    "no policy at all": (
        ("verify", "policy"),
        "no policy: name its FILE, or set $MODEL_VALIDATION_POLICY as the webhook does",
    ),
}


@pytest.mark.parametrize("case", MISUSED)
def test_misuse_ends_with_two(desk: Desk, case: str) -> None:
    """A wrong command line or policy is no verdict on the model, and says what is wrong."""
    arguments, said = MISUSED[case]
    (desk.folder / "ca.pem").write_bytes(Party.root().pem)
    (desk.folder / "private").write_text("-----BEGIN PRIVATE KEY-----\n")
    names = {
        "model": desk.site.model,
        "key": desk.key,
        "ca": desk.folder / "ca.pem",
        "private": desk.folder / "private",
    }
    ended = run(*(argument.format(**names) for argument in arguments))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("key", "{model}", "--public-key=absent"), "there is no public key at 'absent'"),
        (("key", "{model}", "--public-key={model}"), "is not a regular file"),
        (("key", "{model}", "--public-key=/dev/zero"), "is not a regular file"),
        (("certificate", "{model}", "--certificate-chain=absent"), "there is no certificate chain"),
        (
            (
                *("sigstore", "{model}", "--identity=a", "--identity-provider=b"),
                "--trusted-root=absent",
            ),
            "there is no trusted root at 'absent'",
        ),
        (("policy", "absent"), "there is no policy at 'absent'"),
    ],
)
def test_a_missing_anchor_ends_with_three(
    desk: Desk, arguments: tuple[str, ...], said: str
) -> None:
    """Nothing can be said of the model."""
    ended = run("verify", *(text.format(model=desk.site.model) for text in arguments))
    assert (ended.code, ended.out) == (3, "")
    assert said in ended.err


def obeying_permissions() -> tuple[str, ...]:
    """Return how the command is run so that file permissions count for root, too."""
    if os.geteuid() != 0:
        return COMMAND
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None:
        pytest.skip("root obeys permissions only under `setpriv` (util-linux)")
    return (*prefix, *COMMAND)


@pytest.mark.parametrize("closed", ["config.json", "weights", "model.sig", "."])
def test_what_cannot_be_read_ends_with_three(desk: Desk, closed: str) -> None:
    """Neither verified nor refused, with the path and the system's reason."""
    path = desk.site.model / closed
    path.chmod(0)
    try:
        ended = desk.verify(prefix=obeying_permissions())
    finally:
        path.chmod(0o755)
    assert ended.code == 3
    assert "cannot be read: Permission denied" in ended.text


def test_certificates_are_verified(desk: Desk) -> None:
    """Several files with authorities may be named, in either spelling."""
    root, other = Party.root("root"), Party.root("other")
    desk.site.signature.write_bytes(root.issue().bundle(statement()))
    for party in (root, other):
        (desk.folder / f"{party.certificate.subject.rfc4514_string()}.pem").write_bytes(party.pem)
    ended = run(
        *("verify", "certificate", desk.site.model),
        *("--certificate-chain", desk.folder / "CN=other.pem"),
        *("--certificate_chain", desk.folder / "CN=root.pem"),
    )
    assert ended.code == 0, ended.text
    assert "signer: 'CN=signer' (certificate)" in ended.out
    ended = run(
        *("verify", "certificate", desk.site.model),
        *("--certificate-chain", desk.folder / "CN=other.pem"),
    )
    assert ended.code == 1
    assert "does not lead to an accepted authority ('CN=other')" in ended.out


def keyless(sigstore: PrivateSigstore, model: Path, *arguments: object, **how: Any) -> Ended:
    """Verify a model that Alice should have signed."""
    return run(
        *("verify", "sigstore", model, "--identity", "alice@example.com"),
        *("--identity-provider", sigstore.issuer),
        *(arguments or ("--trusted-root", sigstore.trusted_root_path)),
        **how,
    )


def test_keyless_signatures_are_verified(desk: Desk, private_sigstore: PrivateSigstore) -> None:
    """By a trusted root or a client's trust configuration, in either spelling."""
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    for arguments in (
        (),
        ("--trusted_root", private_sigstore.trusted_root_path),
        ("--trust-config", private_sigstore.trust_config_path),
        ("--trust_config", private_sigstore.trust_config_path),
    ):
        ended = keyless(private_sigstore, desk.site.model, *arguments)
        assert ended.code == 0, ended.text
        assert "signer: alice@example.com (sigstore)" in ended.out
        assert "log index: " in ended.out
        assert ended.err == ""


@pytest.mark.parametrize("instance", [(), ("--staging",), ("--use_staging",)])
def test_public_roots_do_not_know_a_private_log(
    desk: Desk, private_sigstore: PrivateSigstore, instance: tuple[str, ...]
) -> None:
    """Offline, by the root that ships with sigstore-python, whose age is said."""
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    ended = run(
        *("verify", "sigstore", desk.site.model, "--identity=alice@example.com"),
        *("--identity_provider", private_sigstore.issuer, *instance),
    )
    assert ended.code == 1
    assert "the root shipped with sigstore-python" in ended.out
    assert "does not know: update the validator, or name the right root" in ended.out


def test_underscored_spellings_are_those_of_model_signing(desk: Desk) -> None:
    """Its users type what they know."""
    write(desk.site.model, {".git/x": b"", "extra": b"", "notes/a": b""})
    ended = run(
        *("verify", "key", desk.site.model, "--public_key", desk.key),
        *("--signature", desk.site.signature, "--ignore_unsigned_files", "--no-ignore_git_paths"),
        *("--ignore_paths", desk.site.model / "notes"),
    )
    assert ended.code == 0, ended.text
    assert "unsigned files let pass: 2" in ended.out
    assert "not covered: notes" in ended.out


def test_ignored_paths_are_read_against_the_current_directory(desk: Desk) -> None:
    """As model_signing does; a path that is meant against the model is a usage error."""
    write(desk.site.model, {"notes": b""})
    ended = desk.verify("--ignore-paths", "granite/notes", cwd=desk.folder)
    assert ended.code == 0, ended.text
    ended = desk.verify("--ignore-paths", "notes", cwd=desk.folder)
    assert (ended.code, ended.out) == (2, "")
    assert (
        "--ignore-paths 'notes' is not inside the model: against the current directory it is "
        f"'{desk.folder / 'notes'}'; if it is meant against the model, write "
        f"'{desk.site.model / 'notes'}'"
    ) in ended.err
    assert desk.verify("--ignore-paths", "notes", cwd=desk.site.model).code == 0
    assert desk.verify("--ignore-paths", "./weights/../notes/", cwd=desk.site.model).code == 0


@pytest.mark.parametrize("path", [".", "..", "/", ""])
def test_the_whole_model_cannot_be_ignored(desk: Desk, path: str) -> None:
    """That would be a verdict on nothing."""
    ended = desk.verify("--ignore-paths", path, cwd=desk.site.model)
    assert ended.code == 2
    assert "is not inside the model" in ended.err


def test_a_pin_is_demanded(desk: Desk) -> None:
    """One of the given digests has to be the model's."""
    digest = json.loads(desk.verify("--format=json").out)["digest"]
    zero = "sha256:" + "0" * 64
    assert desk.verify("--digest", zero, "--digest", digest).code == 0
    ended = desk.verify("--digest", zero)
    assert ended.code == 1
    assert f"its digest is {digest}, and {zero} is demanded" in ended.out


def test_the_older_predicate_is_an_option(desk: Desk) -> None:
    """Asked for, it verifies."""
    desk.site.sign(legacy_statement())
    assert desk.verify("--allow-legacy").code == 0
    assert desk.verify("--allow_legacy").code == 0


def test_a_single_file_has_its_signature_beside_it(desk: Desk) -> None:
    """By custom, model.sig in the file's directory."""
    file = desk.folder / "model.gguf"
    file.write_bytes(b"weights")
    (desk.folder / "model.sig").write_bytes(desk.site.signer.bundle(statement({".": b"weights"})))
    ended = run("verify", "key", file, "--public-key", desk.key)
    assert ended.code == 0, ended.text
    assert "1 files" in ended.out


class TestPolicy:
    """`verify policy`: by a file for people, by the environment in the gate."""

    def test_a_file_is_verified(self, desk: Desk) -> None:
        """YAML or JSON, as `kubectl apply` takes it."""
        path = desk.folder / "policy.yaml"
        path.write_text(json.dumps(desk.policy()))
        ended = run("verify", "policy", path)
        assert ended.code == 0, ended.text
        assert ended.out.startswith("Verification succeeded")

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

    def test_a_file_does_not_listen_to_the_environment(self, desk: Desk) -> None:
        """What is named is what counts: neither the gate's policy nor its cover."""
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


class TestInspect:
    """`inspect`: what a signature claims, without a model."""

    def test_it_says_that_nothing_was_verified(self, desk: Desk) -> None:
        """First of all."""
        ended = run("inspect", desk.site.signature)
        assert ended.code == 0
        assert ended.out.startswith("Claims only, nothing was verified.\nmethod: key\n")
        assert "model: granite\n" in ended.out
        document = json.loads(run("inspect", desk.site.signature, "--format=json").out)
        assert document["verified"] is False
        assert document["files"] == 3

    def test_it_knows_all_methods(self, desk: Desk, private_sigstore: PrivateSigstore) -> None:
        """Who signed, when and how, as far as the bundle claims."""
        root = Party.root()
        desk.site.signature.write_bytes(root.issue().bundle(statement()))
        assert (
            "chain: CN=signer (2026-11-22 to 2026-12-23)" in run("inspect", desk.site.signature).out
        )
        desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
        out = run("inspect", desk.site.signature).out
        assert "identity: alice@example.com" in out
        assert "log index: " in out

    def test_claims_write_no_lines_of_their_own(self, desk: Desk) -> None:
        """A hostile name in the statement is escaped."""
        document = statement()
        document["subject"][0]["name"] = "x\nVerification succeeded\x1b[2J"
        desk.site.sign(document)
        out = run("inspect", desk.site.signature).out
        assert r"model: x\nVerification succeeded\x1b[2J" in out
        assert "\x1b" not in out

    @pytest.mark.parametrize(
        ("content", "code", "said"),
        [
            (b"", 1, "is not JSON"),
            (b"{}", 1, "is not a Sigstore bundle"),
            (Signer().bundle(b"junk"), 0, "statement: not acceptable: the signed statement is"),
        ],
    )
    def test_what_is_no_signature_is_said(
        self, desk: Desk, content: bytes, code: int, said: str
    ) -> None:
        """The file may be anything."""
        desk.site.signature.write_bytes(content)
        ended = run("inspect", desk.site.signature)
        assert ended.code == code
        assert said in ended.text

    def test_a_certificate_that_is_none_is_unreadable(
        self, desk: Desk, private_sigstore: PrivateSigstore
    ) -> None:
        """Inspecting what nobody issued breaks nothing."""
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}
        desk.site.signature.write_bytes(edited(verificationMaterial=material))
        assert "chain: unreadable" in run("inspect", desk.site.signature).out
        bundle = json.loads(private_sigstore.sign_statement(statement()))
        bundle["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"
        desk.site.signature.write_text(json.dumps(bundle))
        assert "identity: unreadable" in run("inspect", desk.site.signature).out


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run the command with standard error on a terminal; return exit code and what it showed."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        done.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        os.close(ours)
    return done.returncode, shown.decode()


@pytest.fixture
def large(desk: Desk) -> Desk:
    """A model that takes a few tenths of a second, although hardly any disk."""
    path = desk.site.model / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(300 * 1024**2)
    desk.site.sign(statement())  # the content is not signed: hashing it is what counts
    listed = statement()["predicate"]["resources"]
    digest = {"name": "sparse.bin", "algorithm": "sha256", "digest": "0" * 64}
    desk.site.sign(statement_of([*listed, digest]))
    return desk


def test_a_terminal_sees_a_bar(large: Desk) -> None:
    """It is drawn in one line, and wiped before the verdict."""
    code, shown = on_a_terminal(
        "verify", "key", large.site.model, "--public-key", large.key, "--jobs=1"
    )
    assert code == 1
    assert "[" in shown
    assert "of 300.0 MiB" in shown
    assert shown.endswith("\r\x1b[K")


def test_a_pipe_sees_no_bar(large: Desk) -> None:
    """A pod's log has lines, and none for what is quickly done."""
    assert "\r" not in large.verify().text
    assert "\r" in large.verify("--progress=bar", "--jobs=1").err
    assert large.verify("--progress=none").err == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_leaves_is_no_crash(large: Desk, stream: str) -> None:
    """`| head` may close the pipe: no traceback, and never a zero that is not meant."""
    read, write_ = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [
            *(*COMMAND, "verify", "key", large.site.model, f"--public-key={large.key}"),
            *("--progress=bar", "--jobs=1"),
        ],
        stdout=write_ if stream == "stdout" else subprocess.PIPE,
        stderr=write_ if stream == "stderr" else subprocess.PIPE,
    ) as process:
        os.close(write_)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == (3 if stream == "stdout" else 1)
    assert b"Traceback" not in (out or b"") + (err or b"")
    assert b"Exception" not in (out or b"") + (err or b"")


def test_a_full_disk_is_no_verdict(desk: Desk) -> None:
    """A report that could not be written ends with three, and says why."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "verify", "key", str(desk.site.model), f"--public-key={desk.key}"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == b"model-validator: cannot go on: No space left on device\n"


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams_leave_the_exit_code(desk: Desk, closed: str, code: int) -> None:
    """Who wants only the exit code gets it."""
    line = f'"$@" {closed}'
    ended = run(
        *("verify", "key", desk.site.model, f"--public-key={desk.key}"),
        prefix=("sh", "-c", line, "sh", *COMMAND),
    )
    assert ended.code == code
    ended = run(
        *("verify", "key", desk.site.model, "--public-key=absent"),
        prefix=("sh", "-c", line, "sh", *COMMAND),
    )
    assert ended.code == 3


def test_a_poor_encoding_is_no_failure(desk: Desk) -> None:
    """What the terminal cannot show is escaped; the verdict stands."""
    document = statement(FILES | {"ü": b""})
    document["subject"][0]["name"] = "gränit"
    desk.site.sign(document)
    prefix = (sys.executable, "-m", "validator")
    environment = {"PYTHONIOENCODING": "ascii"}
    ended = run("inspect", desk.site.signature, prefix=prefix, environment=environment)
    assert ended.code == 0
    assert r"model: gr\xe4nit" in ended.out
    ended = desk.verify(prefix=prefix, environment=environment)
    assert ended.code == 1
    assert r"'\xfc' is signed and missing" in ended.out


HEAVY: Final = ("pydantic", "click", "rich", "sigstore", "aiohttp", "yaml", "tuf", "requests")


def loaded(code: str, *arguments: object) -> set[str]:
    """Run code in an isolated interpreter and return the top-level modules that it loaded."""
    tail = "\nimport sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code + tail, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_a_check_by_key_loads_no_more_than_it_needs(desk: Desk) -> None:
    """Start-up time counts in a gate."""
    code = "import sys; from validator.cli import main; assert main(sys.argv[1:]) == 0"
    modules = loaded(code, "verify", "key", desk.site.model, f"--public-key={desk.key}")
    assert "cryptography" in modules
    assert not modules.intersection(HEAVY)


def test_the_gate_loads_the_method_that_it_needs(desk: Desk) -> None:
    """A policy with a key in the environment needs neither YAML nor Sigstore."""
    code = (
        "import os, sys; from validator.cli import main; "
        f"os.environ['{contract.POLICY_VARIABLE}'] = sys.argv[1]; "
        "assert main(['verify', 'policy']) == 0"
    )
    modules = loaded(code, json.dumps(desk.policy()))
    assert "msgspec" in modules
    assert not modules.intersection(HEAVY)


@pytest.mark.parametrize("module", ["validator.contract", "validator.policy", "validator.errors"])
def test_what_the_webhook_imports_is_light(module: str) -> None:
    """The policy's types come without cryptography and without Sigstore."""
    modules = loaded(f"import {module}")
    assert not modules.intersection((*HEAVY, "cryptography", "asyncio"))


def test_help_needs_nothing() -> None:
    """Asking for help loads the option parser only."""
    ended = run("--help")
    assert ended.code == 0
    assert "Exit codes: 0 verified, 1 refused, 2 usage or policy, 3 could not be decided." in (
        " ".join(ended.out.split())
    )
    for method in ("sigstore", "key", "certificate", "policy"):
        assert run("verify", method, "--help").code == 0


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_nothing_below_home_is_written_or_believed(
    desk: Desk, private_sigstore: PrivateSigstore, kind: str
) -> None:
    """No cache is made, and none is needed, whatever HOME is."""
    home = desk.folder / "home"
    if kind == "empty":
        home.mkdir()
    environment = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    assert desk.verify(environment=environment).code == 0
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    assert keyless(private_sigstore, desk.site.model, environment=environment).code == 0
    ended = run(
        *("verify", "sigstore", desk.site.model, "--identity=a", "--identity-provider=b"),
        environment=environment,
    )
    assert ended.code == 1
    assert home.exists() == (kind == "empty")
    assert not (home.exists() and list(home.iterdir()))


def test_nothing_in_the_working_directory_is_imported(desk: Desk) -> None:
    """A model that brings a module called json is a model with a file json.py."""
    write(desk.folder, {"json.py": b"raise SystemExit(0)", "validator/__init__.py": b"raise 1"})
    ended = desk.verify(
        cwd=desk.folder, environment={"PYTHONPATH": str(desk.folder), "PYTHONSTARTUP": "x"}
    )
    assert ended.code == 0
    assert ended.out.startswith("Verification succeeded")


def test_nothing_is_asked_of_a_network(desk: Desk, private_sigstore: PrivateSigstore) -> None:
    """All verification works where there is no network at all."""
    namespace = ("unshare", "--net")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a network namespace needs root and `unshare`")
    prefix = (*namespace, *COMMAND)
    assert desk.verify(prefix=prefix).code == 0
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    ended = keyless(private_sigstore, desk.site.model, prefix=prefix)
    assert ended.code == 0, ended.text
    ended = keyless(private_sigstore, desk.site.model, "--online", prefix=prefix)
    assert ended.code == 3
    assert "cannot be fetched from https://tuf-repo-cdn.sigstore.dev" in ended.err


def test_environment_variables_of_others_change_nothing(
    desk: Desk, private_sigstore: PrivateSigstore
) -> None:
    """Neither the system's TLS roots nor another tool's settings are looked at."""
    junk = write(desk.folder, {"junk.pem": b"junk"}) / "junk.pem"
    environment = {
        "SSL_CERT_FILE": str(junk),
        "REQUESTS_CA_BUNDLE": str(junk),
        "SIGSTORE_TRUSTED_ROOT": str(junk),
        "TUF_ROOT": str(desk.folder),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "20",
    }
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    assert keyless(private_sigstore, desk.site.model, environment=environment).code == 0


def test_an_interrupt_is_no_verdict(desk: Desk) -> None:
    """Control-C ends with three and a sentence, and at once, however large the file."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        pytest.skip("whoever started the tests made them ignore interrupts")
    path = desk.site.model / "config.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # hours
    with subprocess.Popen(
        [
            *(*COMMAND, "verify", "key", desk.site.model, f"--public-key={desk.key}"),
            "--progress=json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
    assert b'"total": 1099511' in first
    assert (process.returncode, out) == (3, b"")
    assert err.endswith(b"model-validator: interrupted, nothing was verified\n")
    assert b"Traceback" not in err
