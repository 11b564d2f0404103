"""`realm start`: from a file of labels and a rule book to a folder that a domain team can train from.

Serves design.md, sections Domains and Data.
"""
