"""The webhook while its knowledge of the cluster is late, partial or missing."""
