"""The commands of the documents, run on a real node."""
