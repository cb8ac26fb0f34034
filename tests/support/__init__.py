"""What the tests share: pods, policies, bundles, signers, processes, waiting."""
