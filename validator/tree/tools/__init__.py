"""Other people's tools, as far as a model's folder shows them: caches, pointers, leftovers.

Each module says which layout or file is meant, and by which tool it is made. Nothing here decides
whether a model is the signed one; it finds the files, or says in the sentence what a file is.
"""
