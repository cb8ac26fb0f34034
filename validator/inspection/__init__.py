"""The claims of a signature file, for a person who decides whom to trust; nothing is verified.

`claims` reads them, `certificates` describes what a certificate says, `draft` writes the policy
that accepts exactly this.
"""
