"""The page of verdicts for a browser: its HTML, and the listener on the pod's loopback."""
