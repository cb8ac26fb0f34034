"""Other people's admission webhooks beside ours on one API server."""
