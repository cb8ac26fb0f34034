"""Measure how long the gate takes to start in its image, next to a bare interpreter.

    python -m benchmarks.image_startup [--rounds N]

Whole containers, run by runc as locked down as the manifests run them, verifying a model of three
small files by key; the contenders take turns, and medians are compared. Needs root, runc and the
images, as the image tests do.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from tests.e2e.images.building import find
from tests.e2e.images.running import PYTHON
from tests.e2e.images.unpacking import unpacked
from tests.support.signed_model import FILES, Signer, Site, statement, write
from validator import contract

AT: Final = "/models/granite"
VERIFY: Final = ("-m", "validator", "verify", "policy")
CONTENDERS: Final = {
    "interpreter": ("-I", "-c", "pass"),
    "gate": ("-I", *VERIFY),
    # The bytecode is looked for where there is none: what an image without it would do.
    "gate, not precompiled": ("-I", "-X", "pycache_prefix=/none", *VERIFY),
}


def main() -> None:
    """Print a row for each contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    archive = find()["validator"].archive
    with (
        tempfile.TemporaryDirectory() as folder,
        unpacked(f"docker-archive:{archive}") as image,
    ):
        model = write(Path(folder, "granite"), FILES)
        signer = Signer()
        Site(model, model / "model.sig", signer).sign(statement())
        policy = {contract.POLICY_VARIABLE: json.dumps(_policy(signer))}
        for _ in range(rounds):
            for name, arguments in CONTENDERS.items():
                start = time.perf_counter()
                ended = image.run(
                    *arguments, entrypoint=[PYTHON], environment=policy, read={AT: model}
                )
                times[name].append(time.perf_counter() - start)
                if ended.code != 0:
                    raise SystemExit(f"{name} ended with {ended.code}: {ended.text}")
    for name, taken in times.items():
        sys.stdout.write(f"{name:<24}{median(taken):.2f} s\n")


def _policy(signer: Signer) -> dict[str, object]:
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "granite", "namespace": "team"},
        "spec": {
            "model": {"path": AT},
            "config": {"privateKeyConfig": {"publicKey": signer.public_pem.decode()}},
        },
    }


if __name__ == "__main__":
    main()
