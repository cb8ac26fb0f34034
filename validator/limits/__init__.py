"""Every limit on what comes from outside, with its unit and its reason.

`cgroup` says what the container is granted. Nothing here imports anything of ours.
"""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one verification; the defaults are for the largest models known.

    Attributes:
        bundle_bytes: Size of the signature file. A resource takes about 200
            bytes of it, so 64 MiB are good for about 300,000 files, which fit a gate's 256 MiB
            (benchmarks/memory.py; about 200,000 if signed keylessly).
        bundle_depth: Levels of JSON nesting; an honest bundle has nine.
        bundle_values: JSON values of a signature file, the signed statement not counted; an
            honest one has less than a hundred.
        bytes_per_value: Of a signed statement, on average; a resource has at least 25 for each
            of its four values.
        anchor_bytes: Size of a key, certificate or trusted-root file.
        certificates: Length of a bundle's certificate chain.
        resources: Entries of a signed manifest.
        name_bytes: Length of a resource's name; Linux' PATH_MAX.
        entries: Files and directories of a model, unsigned ones included.
        depth: Levels of directories below the model's root; a path of PATH_MAX bytes has 2,047.
        links: Symbolic links followed for one name; Linux gives up at 40, too.
        mismatches: Sentences about single files that a verdict repeats.
    """

    bundle_bytes: int = 64 * 1024 * 1024
    bundle_depth: int = 32
    bundle_values: int = 10_000
    bytes_per_value: int = 25
    anchor_bytes: int = 1024 * 1024
    certificates: int = 16
    resources: int = 1_000_000
    name_bytes: int = 4096
    entries: int = 2_000_000
    depth: int = 1000
    links: int = 40
    mismatches: int = 1000


DEFAULT = Limits()
