"""Sigstore bundles as files: steps 1 and 2 of the verification. Nothing in them is trusted yet.

`bundle` reads and decodes them; `encoding` knows the forms of base64 that they may have.
"""

from __future__ import annotations

from validator.bundle.bundle import Bundle, Method, parse_bundle, read_bundle

__all__ = ["Bundle", "Method", "parse_bundle", "read_bundle"]
