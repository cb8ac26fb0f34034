"""The language of the documents: types of fields, rules between them, and their sentences.

Belongs here: what all kinds share. Does not belong here: the fields of one kind.
"""
