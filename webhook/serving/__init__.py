"""The process: listeners, connections, the serving certificate, and the HTTP around a review."""
