"""Helpers of the tests: pods, policies, bundles, signers, processes, waiting."""
