"""`realm preview`: what a config's schedule will show at each step, before any GPU hour is spent.

`sampling` reads a config and some questions of its data, `planning` makes the plans that the run will make and
measures their prompts, `command` prints and plots.
"""
