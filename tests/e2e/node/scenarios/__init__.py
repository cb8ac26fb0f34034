"""The webhook on a real node, as its users have it."""
