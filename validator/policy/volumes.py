"""The model of a policy: where the workload sees it, and the volume that it lies on."""

from __future__ import annotations

import posixpath
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from validator import contract
from validator.policy.schema import image_reference
from validator.policy.schema.fields import (
    PATH_FORM,
    Digest,
    Name,
    Part,
    Path,
    RelativePath,
    Rule,
    Text,
    VolumeName,
    given,
    one_of,
)


class ClaimVolume(Part, frozen=True, kw_only=True):
    """A PersistentVolumeClaim of the pod's namespace."""

    claim_name: Annotated[Name, Meta(description="Name of the claim.")]


class ImageVolume(Part, frozen=True, kw_only=True):
    """An OCI image that holds the model, by digest."""

    reference: Annotated[
        str,
        Meta(
            max_length=image_reference.REFERENCE_LIMIT,
            pattern=image_reference.BY_DIGEST,
            description="Image reference with its digest; a tag can be moved under a running pod.",
        ),
    ]


class NfsVolume(Part, frozen=True, kw_only=True):
    """An NFS export."""

    server: Annotated[Text, Meta(description="Host name or address of the server.")]
    path: Annotated[Path, Meta(description="Exported path.")]


class SecretReference(Part, frozen=True, kw_only=True):
    """A Secret of the pod's namespace."""

    name: Annotated[Name, Meta(description="Name of the Secret.")]


class CsiVolume(Part, frozen=True, kw_only=True):
    """An inline volume of a CSI driver."""

    driver: Annotated[Name, Meta(description="Name of the driver.")]
    volume_attributes: Annotated[
        dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=1024)]],
        Meta(max_length=32, description="Attributes, as the driver defines them."),
    ] = msgspec.field(default_factory=dict)
    fs_type: (
        Annotated[Text, Meta(description="File system to mount, as the driver defines it.")] | None
    ) = None
    node_publish_secret_ref: (
        Annotated[
            SecretReference,
            Meta(description="Secret that the driver gets; left out, the pod may name one."),
        ]
        | None
    ) = None


class HostPathVolume(Part, frozen=True, kw_only=True):
    """A directory of the node."""

    path: Annotated[Path, Meta(description="Directory on the node.")]


class ModelVolume(Part, frozen=True, kw_only=True):
    """The model's volume: added to a pod that does not declare it, demanded of one that does."""

    name: (
        Annotated[VolumeName, Meta(description="Name of a volume that the pod itself declares.")]
        | None
    ) = None
    persistent_volume_claim: ClaimVolume | None = None
    image: ImageVolume | None = None
    nfs: NfsVolume | None = None
    csi: (
        Annotated[
            CsiVolume,
            Meta(
                description="Added to a pod only in namespaces labelled "
                f"{contract.NAMESPACE_CSI_LABEL}/DRIVER."
            ),
        ]
        | None
    ) = None
    host_path: (
        Annotated[
            HostPathVolume,
            Meta(description=f"Only in namespaces labelled {contract.NAMESPACE_HOST_PATH_LABEL}."),
        ]
        | None
    ) = None
    mount_path: (
        Annotated[
            Path,
            Meta(description="Where the volume is mounted; the model's path, if absent."),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "volume names no source or several: set exactly one of name, persistentVolumeClaim, "
            "image, nfs, csi, hostPath",
            one_of("name", "persistentVolumeClaim", "image", "nfs", "csi", "hostPath"),
            lambda self: (
                given(
                    self.name,
                    self.persistent_volume_claim,
                    self.image,
                    self.nfs,
                    self.csi,
                    self.host_path,
                )
                == 1
            ),
        ),
    )


class Model(Part, frozen=True, kw_only=True):
    """One signed model, as the workload's container sees it."""

    path: Annotated[Path, Meta(description=f"Directory or file of the model, {PATH_FORM}.")]
    signature_path: (
        Annotated[
            Path,
            Meta(description="The signature's file; <path>/model.sig, if absent."),
        ]
        | None
    ) = None
    ignore_paths: Annotated[
        tuple[RelativePath, ...],
        Meta(
            max_length=64,
            description="Paths below the model that need not be signed, relative to it, no globs.",
        ),
    ] = ()
    ignore_git_paths: Annotated[
        bool,
        Meta(description="Ignore .git, .gitignore, .gitattributes and .github at the top level."),
    ] = True
    ignore_unsigned_files: Annotated[
        bool,
        Meta(
            description="Let unsigned files lie beside signed ones; one may change what is loaded."
        ),
    ] = False
    digests: Annotated[
        tuple[Digest, ...],
        Meta(
            max_length=16,
            description="Accepted models, by root digest (sha256:…: contents only) or by digest of "
            "the signed statement (statement:sha256:…: names, contents, ignored paths); without "
            "them any model of the signer is accepted.",
        ),
    ] = ()
    volume: ModelVolume | None = None

    @property
    def signature(self) -> str:
        """The signature's path, given or by default."""
        return self.signature_path or posixpath.join(self.path, "model.sig")
