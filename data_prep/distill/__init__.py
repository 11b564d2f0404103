"""Guided CoT distillation: a teacher reasons under the domain's written rules; the student's rows leave them out.

Serves design.md, section Guided CoT distillation: the command `realm distill`. Read in this order:

    questions  what is asked          prompts    how it is asked        requests  what travels to a teacher
    teachers   who is asked           store      what has been answered  limits, sender  how fast, how dear, how often
    chains     reading one reply      flow       all about one question  contrast  rows that judge routes
    writing    the output folder      estimate   the bill beforehand     run, command  the whole

Everything written is a function of the questions, the options and the store's replies: `flow` runs once with the
network to fill the store, then again from the store alone to write the rows.
"""
