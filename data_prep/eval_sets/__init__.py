"""Generated evaluation sets that ship with ReaLM: finance, medicine-form and law-form questions with routes.

Serves design.md, section Domains. Every question carries its own invented rules or table, so nothing has to be known
beforehand; nothing in them is advice or knowledge of any field. `python -m data_prep.eval_sets eval_tasks/data` writes
the committed files.
"""
