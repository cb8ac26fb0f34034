"""Fixtures that all tests may use, by lane."""

pytest_plugins = ["tests.cluster.fixtures", "tests.sigstore.fixtures"]
