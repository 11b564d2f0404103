"""`realm compare`: lm-eval results side by side, question by question.

Serves design.md, section Layout (the command `realm compare`).
"""
