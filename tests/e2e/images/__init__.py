"""The images as a user builds them, on a base made here: no registry is needed.

`building` builds them into archives (also a command), `buildah` runs the builder, `base` makes
the base from the machine's own package mirror, `package_index` hands pip's settings to the build.
The tests run what was built with runc, locked down as the manifests do.
"""
