from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.certificates import Party
from tests.support.signed_model import Document, Signer
from validator import contract
from validator.errors import PolicyError
from validator.from_policy import verifiers
from validator.policy import document as policy
from validator.policy.document import ModelValidation
from validator.policy.files import read_policy
from validator.policy.schema.expressions import Expression
from validator.policy.signers import SIGNERS_LIMIT, SigstoreConfig
from validator.signatures.certificate import CertificateVerifier
from validator.signatures.key import KeyVerifier
from validator.signatures.keyless import SigstoreVerifier

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sigstore import PrivateSigstore

KEYLESS = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://issuer"}
KEY = {"privateKeyConfig": {"keyPath": "/keys/key.pub"}}
DIGEST = "sha256:" + "0" * 64


def document(**spec: Any) -> Document:
    """Return a policy document with fields of its spec replaced; None leaves one out."""
    made = {"model": {"path": "/models/granite"}, "config": KEY} | spec
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "granite", "namespace": "team"},
        "spec": {key: value for key, value in made.items() if value is not None},
    }


def parsed(made: object) -> ModelValidation:
    """Return the policy in a document."""
    return ModelValidation.from_object(made, source="policy.yaml")


def refused(made: object) -> str:
    """Return the sentence by which a document is refused."""
    with pytest.raises(PolicyError) as caught:
        parsed(made)
    return str(caught.value).removeprefix("policy.yaml: ")


def config(**method: Any) -> Document:
    """Return a policy document with one signing method."""
    return document(config=method)


def keyless(**changes: Any) -> Document:
    """Return a keyless policy document with fields replaced; None leaves one out."""
    made = KEYLESS | changes
    return config(sigstoreConfig={key: value for key, value in made.items() if value is not None})


def test_the_operators_fields_are_read_as_they_are() -> None:
    """A resource of the Go operator needs nothing but another group."""
    made = parsed(
        document(
            model={
                "path": "/models/granite",
                "signaturePath": "/models/granite/granite.sig",
                "ignorePaths": ["notes"],
                "ignoreGitPaths": False,
            },
            config={"sigstoreConfig": KEYLESS},
        )
    )
    (model,) = made.spec.all_models
    assert model.signature == "/models/granite/granite.sig"
    assert model.ignore_paths == ("notes",)
    assert not model.ignore_git_paths
    assert made.spec.config.signers[0].method == SigstoreConfig(
        certificate_identity="a@example.com", certificate_oidc_issuer="https://issuer"
    )


def test_what_is_not_said_is_strict() -> None:
    """The defaults enforce, trust no anchors of pods, and let no unsigned file pass."""
    spec = parsed(document()).spec
    assert spec.mode == "Enforce"
    assert not spec.allow_pod_trust_anchors
    assert not spec.allow_privileged
    (model,) = spec.all_models
    assert model.signature == "/models/granite/model.sig"
    assert model.ignore_git_paths
    assert not model.ignore_unsigned_files
    assert not model.digests


def models(*paths: str) -> Document:
    """Return a policy document of several models."""
    return document(model=None, models=[{"path": path} for path in paths])


def volume(**fields: Any) -> Document:
    """Return a policy document with a model volume."""
    return document(model={"path": "/m", "volume": fields})


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (volume(), "volume names no source or several: set exactly one of name"),
        (volume(name="a", nfs={"server": "s", "path": "/p"}), "volume names no source or several"),
        (volume(mountPath="/m"), "volume names no source or several"),
        (keyless(certificateIdentity=None), "sigstoreConfig accepts nobody or says it twice"),
        (keyless(certificateIdentityRegexp="a"), "sigstoreConfig accepts nobody or says it twice"),
        (
            keyless(certificateIdentityRegexp="a", githubWorkflow={"repository": "o/r"}),
            "sigstoreConfig accepts nobody or says it twice",
        ),
        (keyless(certificateOidcIssuer=None), "sigstoreConfig names no issuer or two"),
        (keyless(certificateOidcIssuerRegexp="a"), "sigstoreConfig names no issuer or two"),
        (
            keyless(certificateIdentity=None, certificateIdentityRegexp="("),
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
        ),
        (
            keyless(certificateIdentity=None, certificateIdentityRegexp=".*"),
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
        ),
        (
            keyless(certificateOidcIssuer=None, certificateOidcIssuerRegexp="a|"),
            "certificateOidcIssuerRegexp is not a regular expression or matches the empty text",
        ),
        (
            keyless(certificateIdentity=None, certificateIdentityRegexp="a{99999999999}"),
            "certificateIdentityRegexp is not a regular expression",
        ),
        (
            keyless(certificateIdentity=None, certificateIdentityRegexp="(" * 512),
            "certificateIdentityRegexp is not a regular expression",
        ),
        (
            keyless(certificateIdentity="email:a@example.com"),
            "certificateIdentity begins with 'email:': write the address alone",
        ),
        (
            config(**KEY, publicKeyConfig={"keyPath": "/k"}),
            "config names no signing method or several",
        ),
        (
            config(anyOf=[KEY | {"publicKeyConfig": {"keyPath": "/k"}}]),
            "config.anyOf[0]: config names no signing method or several",
        ),
        (config(publicKeyConfig={}), "privateKeyConfig names no key or several"),
        (config(privateKeyConfig={}), "privateKeyConfig names no key or several"),
        (
            config(privateKeyConfig={"publicKey": "k", "keyPath": "/k"}),
            "privateKeyConfig names no key or several",
        ),
        (config(pkiConfig={}), "pkiConfig names no authority or several"),
        (
            config(pkiConfig={"certificateAuthority": "/c", "certificateAuthorities": "c"}),
            "pkiConfig names no authority or several",
        ),
        (
            config(
                pkiConfig={
                    "certificateAuthorities": "c",
                    "certificateIdentity": "CN=a",
                    "certificateIdentityRegexp": "CN=a",
                }
            ),
            "pkiConfig says twice who signs",
        ),
        (
            config(
                pkiConfig={"certificateAuthorities": "c", "certificateIdentityRegexp": "(CN=a)?"}
            ),
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
        ),
        (config(), "config names no signing method or several"),
        (config(sigstoreConfig=KEYLESS, **KEY), "config names no signing method or several"),
        (config(anyOf=[KEY], **KEY), "config names no signing method or several"),
        (config(anyOf=[{}]), "config.anyOf[0]: config names no signing method or several"),
        (
            config(anyOf=[KEY, {"sigstoreConfig": KEYLESS, **KEY}]),
            "config.anyOf[1]: config names no signing method or several",
        ),
        (config(anyOf=[]), "`array` of length >= 1"),
        (config(anyOf=[KEY] * 17), "`array` of length <= 16"),
        (config(anyOf=[{"anyOf": [KEY]}]), "unknown field `anyOf`"),
        (document(trust={}), "trust names no root or several"),
        (
            document(trust={"trustedRoot": "x", "tuf": {"url": "https://u", "root": "r"}}),
            "trust names no root or several",
        ),
        (document(model=None), "spec names no model or says it twice"),
        (document(models=[{"path": "/a"}]), "spec names no model or says it twice"),
        (models(), "`array` of length >= 1"),
        (models(*(f"/m{n}" for n in range(9))), "`array` of length <= 8"),
        (models("/a", "/a"), "models lie within one another"),
        (models("/a", "/a/b"), "models lie within one another"),
        (models("/a/b", "/c", "/a"), "models lie within one another"),
        (document(config=None), "missing required field `config`"),
        (document(mode="Warn"), "spec.mode: invalid enum value 'Warn': write Enforce or Audit"),
        (document(mode="enforce"), "spec.mode: invalid enum value 'enforce'"),
        (document(default="yes"), "spec.default: expected `bool`"),
        (document(workload={"arguments": "None"}), "spec.workload.arguments: invalid enum"),
        (document(securityContext={"runAsUser": -1}), "`int` >= 0"),
        (document(securityContext={"privileged": True}), "unknown field `privileged`"),
        (document(resources={"limits": {"cpu": "much"}}), "spec.resources.limits.cpu"),
        (document(trust={"tuf": {"url": "http://u", "root": "r"}}), "spec.trust.tuf.url"),
        (document(enforce=False), "unknown field `enforce`"),
        (document(revalidation={"interval": "9s"}), "choose one from 10s to 24h"),
        (document(revalidation={"interval": "1441m"}), "choose one from 10s to 24h"),
        (document(revalidation={"interval": "1h30m"}), "write a number and s, m or h, such as 10m"),
        (document(revalidation={"interval": "0s"}), "spec.revalidation.interval: expected `str`"),
        (document(revalidation={"bytesPerSecond": "0"}), "write a number and M, Mi, G or Gi"),
        (document(revalidation={"bytesPerSecond": "100K"}), "write a number and M, Mi, G or Gi"),
        (document(revalidation={"action": "Kill"}), "'Kill': write Unready, Report or Stop"),
        (document(onRestart="Ask"), "'Ask': write Verify or Keep"),
    ],
)
def test_each_rule_has_its_sentence(made: Document, said: str) -> None:
    """The sentence has the field's path and the remedy."""
    assert said in refused(made)


def test_revalidation_is_off_and_needs_nothing_but_its_name() -> None:
    """The defaults are an interval, a bounded rate, and a pod that becomes unready."""
    assert parsed(document()).spec.revalidation is None
    given = parsed(document(revalidation={})).spec.revalidation
    assert given is not None
    assert (given.seconds, given.action, given.rate) == (3600, "Unready", 100 * 2**20)


@pytest.mark.parametrize(
    ("interval", "rate", "seconds", "number"),
    [
        ("10s", "1M", 10, 1_000_000),
        ("86400s", "5Mi", 86_400, 5 * 2**20),
        ("15m", "2G", 900, 2_000_000_000),
        ("24h", "99999Gi", 86_400, 99_999 * 2**30),
    ],
)
def test_revalidation_is_read_in_seconds_and_bytes(
    interval: str, rate: str, seconds: int, number: int
) -> None:
    """Each unit means what it says, and the bounds belong to what is allowed."""
    given = parsed(document(revalidation={"interval": interval, "bytesPerSecond": rate}))
    assert given.spec.revalidation is not None
    assert (given.spec.revalidation.seconds, given.spec.revalidation.rate) == (seconds, number)


@pytest.mark.parametrize("pattern", [r"(?:a?|b?){60}\b", r"((a?|b?)(a?|b?)){40}\b.*", r"(a*)*b"])
def test_an_expression_takes_linear_time(pattern: str) -> None:
    """One namespace's policy must not keep the webhook of all namespaces busy."""
    start = time.process_time()
    parsed(keyless(certificateIdentity=None, certificateIdentityRegexp=pattern))
    Expression(pattern).matches("a" * 1024)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)b", "(?!a)b", r"(a)\1", r"a\Z", "(?P=n)a", "a++", r"\Ca", "(?>a)"],
)
def test_what_the_api_server_reads_differently_is_refused(pattern: str) -> None:
    """Its expressions are RE2's: Python's own lookaheads, references and the like are none."""
    made = keyless(certificateIdentity=None, certificateIdentityRegexp=pattern)
    assert "certificateIdentityRegexp is not a regular expression" in refused(made)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\pL+@example\.com", "élise@example.com"),
        (r"\Qa.b\E@example\.com", "a.b@example.com"),
        (r"alice@example\.com\z", "alice@example.com"),
        ("(?U)a+@example.com", "aa@example.com"),
        ("[[:alpha:]]+@example.com", "alice@example.com"),
    ],
)
def test_an_expression_means_what_it_means_to_the_api_server(pattern: str, text: str) -> None:
    """Also where Python's `re` would read it as something else, or not at all."""
    parsed(keyless(certificateIdentity=None, certificateIdentityRegexp=pattern))
    assert Expression(pattern).matches(text)
    assert not Expression(pattern).matches(f"{text}.attacker.example")


def test_expressions_that_take_long_to_compile_are_only_read() -> None:
    """One such policy kept the webhook of all namespaces busy for half a minute."""
    slow = "(?i)" + "".join(f"[{chr(256 + number)}-\ufff0]" for number in range(99))
    signers = [
        {
            "sigstoreConfig": {
                "certificateIdentityRegexp": f"{slow}{number}",
                "certificateOidcIssuerRegexp": f"{slow}-{number}",
            }
        }
        for number in range(SIGNERS_LIMIT)
    ]
    start = time.process_time()
    parsed(config(anyOf=signers))
    assert time.process_time() - start < 2


def test_siblings_of_one_prefix_are_not_within_one_another() -> None:
    """/models/a and /models/ab are two places."""
    assert len(parsed(models("/models/a", "/models/ab")).spec.all_models) == 2


@pytest.mark.parametrize(
    "path",
    [
        *("", "models", "/", "//", "/models/", "//models", "/a//b", "/a/../b", "/..", "/a/.."),
        *("/a/./b", "/.", "/a\0b", "./a", "/" + "x" * 1024),
    ],
)
def test_paths_have_one_spelling(path: str) -> None:
    """A path that could be read in two ways is refused, wherever it stands."""
    for made in (
        document(model={"path": path}),
        document(model={"path": "/m", "signaturePath": path}),
        config(privateKeyConfig={"keyPath": path}),
        config(pkiConfig={"certificateAuthority": path}),
        volume(hostPath={"path": path}),
        volume(name="a", mountPath=path),
    ):
        said = refused(made)
        assert "the path must be absolute and canonical" in said or "length <= 1024" in said


@pytest.mark.parametrize("path", ["/a", "/a/...", "/..a/b", "/.hidden", "/a b", "/ü", "/a:b"])
def test_odd_paths_are_paths(path: str) -> None:
    """Every path that Kubernetes accepts for a mount is accepted for a model."""
    assert parsed(document(model={"path": path})).spec.all_models[0].path == path


@pytest.mark.parametrize("path", ["", ".", "..", "/a", "a/", "a//b", "a/../b", "./a", "a\0b"])
def test_ignored_paths_are_relative_and_have_one_spelling(path: str) -> None:
    """An ignored path cannot be the whole model, nor lead out of it."""
    said = refused(document(model={"path": "/m", "ignorePaths": [path]}))
    assert "ignorePaths[0]: the path must be relative, without '..', '.', '//'" in said


@pytest.mark.parametrize(
    "digest", ["", "0" * 64, "sha256:" + "0" * 63, "sha256:" + "A" * 64, "sha512:" + "0" * 64]
)
def test_a_pin_is_a_whole_lower_case_digest(digest: str) -> None:
    """A pin that could never match is a mistake worth a sentence."""
    assert "digests[0]" in refused(document(model={"path": "/m", "digests": [digest]}))
    assert parsed(document(model={"path": "/m", "digests": [DIGEST, f"statement:{DIGEST}"]}))


@pytest.mark.parametrize(
    "reference",
    [
        "registry/model:1",
        "registry/model",
        f"registry/model@{DIGEST} ",
        f"@{DIGEST}",
        f"registry/model:@{DIGEST}",
        f"registry/Model@{DIGEST}",
    ],
)
def test_an_image_volume_has_a_digest(reference: str) -> None:
    """A tag can be moved under a running pod."""
    said = refused(volume(image={"reference": reference}))
    assert "volume.image.reference: not an image by its digest: write REGISTRY/NAME@sha256" in said
    assert parsed(volume(image={"reference": f"registry/model:1@{DIGEST}"}))


@pytest.mark.parametrize("kind", ["secret", "projected", "configMap", "emptyDir"])
def test_kinds_of_volumes_that_are_none_of_ours_are_unknown(kind: str) -> None:
    """A policy is no way to read Secrets."""
    assert f"unknown field `{kind}`" in refused(volume(**{kind: {}}))


@pytest.mark.parametrize("name", ["true", "false", "a" * 64, "Upper", "-a", "a-", "", "a_b", 5])
def test_a_name_is_usable_as_a_label(name: object) -> None:
    """Pods name their policy by a label's value."""
    refused(document() | {"metadata": {"name": name}})


def test_metadata_that_others_write_is_left_out() -> None:
    """Labels, managed fields and the like are none of the policy's."""
    made = document()
    made["metadata"] |= {"labels": {"a": "b"}, "managedFields": [{}], "uid": "u", "generation": 2}
    assert parsed(made | {"status": {"any": ["thing"]}}).metadata.generation == 2


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "not a ModelValidation: expected a mapping"),
        ([], "not a ModelValidation: expected a mapping"),
        ("text", "not a ModelValidation: expected a mapping"),
        ({}, "missing required field `apiVersion`"),
        (document() | {"apiVersion": "ml.sigstore.dev/v1alpha1"}, "apiVersion: invalid enum value"),
        (document() | {"kind": "Pod"}, "kind: invalid enum value 'Pod'"),
        (document() | {"data": {}}, "unknown field `data`"),
        (document() | {"metadata": {}}, "metadata: "),
        (document() | {"spec": None}, "spec: expected `object`"),
    ],
)
def test_what_is_no_policy_is_said(made: object, said: str) -> None:
    """Another document, or another version, is named as what it is."""
    assert said in refused(made)


YAML = """\
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite}
spec:
  model: {path: /models/granite}
  config: {privateKeyConfig: {keyPath: /keys/key.pub}}
"""


def test_a_file_is_yaml_or_json() -> None:
    """Both carriers of a file give the same policy."""
    made = read_policy(YAML.encode(), source="p")
    text = made.to_environment().encode()
    assert read_policy(text, source="p") == made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "expected one ModelValidation, found 0"),
        (f"{YAML}---\n{YAML}".encode(), "expected one ModelValidation, found 2"),
        (b"- a", "expected a mapping"),
        (b"a: [", "not YAML that is accepted"),
        (b"a: 1\na: 2", "the key 'a' stands twice"),
        (YAML.replace("config: {", "config: {anyOf: [], anyOf: [], ").encode(), "stands twice"),
        (b"a: &x 1\nb: *x", "anchors and aliases are not accepted"),
        (b"\xff", "not YAML in UTF-8"),
        (b"a: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        (b"#" * (policy.FILE_LIMIT + 1), "larger than 1,048,576 bytes"),
        (b"[" * 10_000, "nested deeper than 64 levels"),
        (f"{YAML}extra: 1".encode(), "unknown field `extra`"),
    ],
)
def test_a_file_that_is_no_policy_is_said(text: bytes, said: str) -> None:
    """YAML that a reviewer could misread is refused."""
    with pytest.raises(PolicyError) as caught:
        read_policy(text, source="p.yaml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("p.yaml: ")


def whole() -> Document:
    """Return a policy document that uses most fields."""
    made = document(
        model=None,
        models=[
            {
                "path": "/models/granite",
                "signaturePath": "/sig/a",
                "ignorePaths": ["a/b"],
                "ignoreGitPaths": False,
                "ignoreUnsignedFiles": True,
                "digests": [DIGEST],
                "volume": {"csi": {"driver": "d", "volumeAttributes": {"a": "$(HOME)"}}},
            },
            {"path": "/models/lora", "volume": {"image": {"reference": f"r@{DIGEST}"}}},
        ],
        config={
            "anyOf": [
                {"sigstoreConfig": KEYLESS},
                {"privateKeyConfig": {"publicKey": "$$ $(KEY) ü \U0001f600 \u2028"}},
                {"pkiConfig": {"certificateAuthorities": "pem"}},
            ]
        },
        mode="Audit",
        default=True,
        trust={"trustedRoot": "{}"},
        workload={"arguments": "Strict"},
        revalidation={"interval": "10m", "action": "Report", "bytesPerSecond": "1Gi"},
        resources={"limits": {"cpu": "2", "memory": "1Gi"}},
        securityContext={"runAsUser": 1000},
        allowPrivileged=True,
        allowPodTrustAnchors=True,
    )
    made["metadata"] |= {"uid": "u-1", "generation": 7}
    return made


@pytest.mark.parametrize("made", [document(), whole(), keyless()])
def test_the_environment_carries_the_policy_whole(made: Document) -> None:
    """The gate reads the same policy that the webhook wrote."""
    resolved = parsed(made)
    assert ModelValidation.from_environment(resolved.to_environment()) == resolved


def test_the_environment_has_nothing_that_kubernetes_expands() -> None:
    """`$(NAME)` and `$$` would be replaced in a container's environment."""
    text = parsed(whole()).to_environment()
    assert "$" not in text
    assert text.isascii()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).replace(
        "$", r"\u0024"
    )


def test_the_environment_leaves_out_what_changes_without_the_policy() -> None:
    """Status and deletion are no part of what the gate is told: the patch stays the same."""
    plain = parsed(document())
    made = document() | {"status": {"ready": True}}
    made["metadata"] = made["metadata"] | {"deletionTimestamp": "2026-11-23T00:00:00Z"}
    assert parsed(made).to_environment() == plain.to_environment()


def test_a_policy_that_fits_no_environment_is_refused() -> None:
    """Escapes count: what fits is what is written."""
    fitting = parsed(document(trust={"trustedRoot": "x" * 49152}))
    assert len(fitting.to_environment()) < contract.ENVIRONMENT_LIMIT
    large = parsed(document(trust={"trustedRoot": "$" * 49152}))
    with pytest.raises(PolicyError, match="98,304 are allowed: shorten its keys"):
        large.to_environment()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "nonsense", '{"a": }'])
def test_an_environment_that_is_not_the_webhooks_is_said(text: str) -> None:
    """A variable that somebody wrote by hand is no policy."""
    with pytest.raises(PolicyError, match=r"\$MODEL_VALIDATION_POLICY is not JSON"):
        ModelValidation.from_environment(text)
    with pytest.raises(PolicyError, match=r"\$MODEL_VALIDATION_POLICY: not a ModelValidation"):
        ModelValidation.from_environment("[]")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(node: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return all places in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return [
        place
        for key, value in items
        for place in (
            (*prefix, key),
            *(places(value, (*prefix, key)) if isinstance(value, dict | list) else ()),
        )
    ]


@given(place=st.sampled_from(places(whole())), value=JSON_VALUES)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_where_the_answer_is_a_policy_or_a_sentence(
    place: tuple[Any, ...], value: object
) -> None:
    """Nothing but PolicyError comes of a document, and a policy always reaches the gate."""
    made = json.loads(json.dumps(whole()))
    holder: Any = made
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    said = ""
    try:
        text = parsed(made).to_environment()
    except PolicyError as error:
        said = str(error)
    else:
        assert ModelValidation.from_environment(text).to_environment() == text
    assert "\n" not in said


@given(text=st.text(max_size=200) | st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_whatever_a_file_holds_the_answer_is_a_policy_or_a_sentence(text: str | bytes) -> None:
    """Files and variables of any content end in a sentence."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    with pytest.raises(PolicyError):
        read_policy(raw, source="p")
    with pytest.raises(PolicyError):
        ModelValidation.from_environment(raw.decode("latin-1"))


class TestVerifiers:
    """From a policy's signers to verifiers that hold their anchors."""

    def test_each_method_has_its_verifier(self, private_sigstore: PrivateSigstore) -> None:
        """In the policy's order, with inline anchors."""
        made = document(
            config={
                "anyOf": [
                    {"sigstoreConfig": KEYLESS},
                    {"privateKeyConfig": {"publicKey": Signer().public_pem.decode()}},
                    {"pkiConfig": {"certificateAuthorities": Party.root().pem.decode()}},
                ]
            },
            trust={"trustedRoot": private_sigstore.trusted_root_json},
        )
        assert [type(item) for item in verifiers(parsed(made))] == [
            SigstoreVerifier,
            KeyVerifier,
            CertificateVerifier,
        ]

    def test_a_policy_says_whose_certificate_it_accepts(self) -> None:
        """Exactly or by an expression; without either, every signer of the authority."""
        pem = Party.root().pem.decode()
        for field, accepted in (
            ({"certificateIdentity": "CN=a"}, ("CN=a", None)),
            ({"certificateIdentityRegexp": "CN=.*"}, (None, "CN=.*")),
            ({}, (None, None)),
        ):
            made = parsed(config(pkiConfig={"certificateAuthorities": pem, **field}))
            (verifier,) = verifiers(made)
            assert isinstance(verifier, CertificateVerifier)
            assert (verifier.identity, verifier.identity_regexp) == accepted
            assert (verifier.expression is None) == (verifier.identity_regexp is None)

    def test_anchors_are_read_from_files(self, tmp_path: Path) -> None:
        """A path is read within limits; a policy that names what is not there is wrong."""
        (tmp_path / "key.pub").write_bytes(Signer().public_pem)
        made = config(privateKeyConfig={"keyPath": str(tmp_path / "key.pub")})
        assert len(verifiers(parsed(made))) == 1
        (tmp_path / "key.pub").unlink()
        with pytest.raises(PolicyError, match="there is no public key at"):
            verifiers(parsed(made))

    @pytest.mark.parametrize(
        ("method", "said"),
        [
            ({"privateKeyConfig": {"publicKey": "k"}}, "not a public key in PEM form"),
            ({"pkiConfig": {"certificateAuthorities": "c"}}, "not certificates in PEM form"),
        ],
    )
    def test_an_anchor_that_is_none_is_named_by_its_place(
        self, method: Document, said: str
    ) -> None:
        """The policy and the place in it stand in the sentence."""
        with pytest.raises(PolicyError) as caught:
            verifiers(parsed(config(**method)))
        assert str(caught.value) == f"ModelValidation team/granite: config: {said}"
        with pytest.raises(PolicyError) as caught:
            verifiers(parsed(config(anyOf=[method])))
        assert str(caught.value) == f"ModelValidation team/granite: config.anyOf[0]: {said}"

    def test_a_root_that_is_none_is_the_policys_mistake(self) -> None:
        """Only who signs keylessly needs one."""
        root = {"trustedRoot": "{}"}
        with pytest.raises(PolicyError, match="granite: trust: not a Sigstore trusted root"):
            verifiers(parsed(keyless() | {"spec": keyless()["spec"] | {"trust": root}}))
        inline = {"privateKeyConfig": {"publicKey": Signer().public_pem.decode()}}
        assert verifiers(parsed(document(config=inline, trust=root)))


def test_the_operators_name_of_a_key_is_another_name() -> None:
    """`publicKeyConfig` has the fields and the meaning of `privateKeyConfig`."""
    one = ModelValidation.from_object(config(publicKeyConfig={"keyPath": "/k"}), source="p")
    other = ModelValidation.from_object(config(privateKeyConfig={"keyPath": "/k"}), source="p")
    assert one.spec.config.signers == other.spec.config.signers
    listed = ModelValidation.from_object(
        config(anyOf=[{"publicKeyConfig": {"keyPath": "/k"}}]), source="p"
    )
    assert listed.spec.config.signers[0].method == other.spec.config.signers[0].method
    assert listed.spec.config.signers[0].anchor_path == "/k"
    assert ModelValidation.from_environment(one.to_environment()) == one
