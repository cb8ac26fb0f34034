"""Make the images' base from the machine's own package mirror: Debian (or Ubuntu) and Python.

It stands in for the base that the Dockerfiles name, where no registry can be reached. A base of
the reader's own (`MODEL_VALIDATION_BASE`, an image's name) is used as it is.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import shutil
import sys

from tests.e2e.images.buildah import (
    ImagesMissingError,
    buildah,
    check_machine,
    container,
    execute,
    exists,
)
from tests.support.caching import cache, exclusive, say

PACKAGES = "python3,python3-venv"
UNUSED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
"""Only size: none of it matters to what runs."""
OF_THIS_MACHINE = ("etc/resolv.conf", "etc/hostname", "var/log/bootstrap.log")
"""Files that debootstrap copies from the machine on which it runs."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def name() -> str:
    """Return the base's image name; a change of the recipe or of the release changes it."""
    own = os.environ.get("MODEL_VALIDATION_BASE")
    if own:
        return own
    recipe = inspect.getsource(sys.modules[__name__]) + platform.machine() + _release()
    return f"localhost/base:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def build() -> str:
    """Make the base if it is missing, and return its name.

    Raises:
        ImagesMissingError: a program or a mirror is missing, or debootstrap failed.
    """
    image = name()
    if os.environ.get("MODEL_VALIDATION_BASE") or exists(image):
        return image
    check_machine("debootstrap")
    with exclusive(cache("images") / "base"):
        if not exists(image):
            _make(image)
    return image


def _make(image: str) -> None:
    mirror, components = _mirror()
    say(f"base: debootstrap {_release()} with {PACKAGES} (a minute, once) ...")
    with container("scratch") as (made, root):
        execute(
            "debootstrap",
            "--variant=minbase",
            f"--components={components}",
            f"--include={PACKAGES}",
            _release(),
            root,
            mirror,
        )
        for unused in UNUSED:
            shutil.rmtree(root / unused, ignore_errors=True)
        for copied in OF_THIS_MACHINE:
            (root / copied).unlink(missing_ok=True)
        buildah("config", "--env", f"PATH={PATH}", "--cmd", "python3", made)
        buildah("commit", "--quiet", made, image)


def _release() -> str:
    """Return this machine's release, such as `bookworm`."""
    try:
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        codename = None
    if not codename:
        raise ImagesMissingError(
            "/etc/os-release names no VERSION_CODENAME: the base is made on Debian or Ubuntu only; "
            "elsewhere set MODEL_VALIDATION_BASE to an image with Python 3.11 or newer."
        )
    return codename


def _mirror() -> tuple[str, str]:
    """Return the mirror and the components (comma-separated) that this machine installs from."""
    listed = execute("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)")
    targets = [line.split() for line in listed.splitlines()]
    ours = [(uri, component) for release, component, uri in targets if release == _release()]
    mirrors = [uri for uri, component in ours if component == "main" and uri.startswith("http")]
    if not mirrors:
        raise ImagesMissingError(
            f"apt has no HTTP source for {_release()}'s main component: run `apt-get update`, or "
            "set MODEL_VALIDATION_BASE to an image with Python 3.11 or newer."
        )
    components = dict.fromkeys(component for uri, component in ours if uri == mirrors[0])
    return mirrors[0], ",".join(components)
