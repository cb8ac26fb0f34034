"""The digests of a model's files, by byte ranges.

`signed_ranges` are the parts of files that the signature names, and `hashing` hashes them on all
cores. `ranges` is the digest of one range, and `reads` one read of it.
"""
