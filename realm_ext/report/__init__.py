"""`realm report`: what a run did, as one HTML page, PNGs and a table on the terminal.

`command` is the entry point; `reading` and `scalars` read a run folder, `summary` compares and says it in words,
`plots` (with `method_plots` and `time_plots`, drawn in `style`) and `page` show it. Nothing here changes a run.
"""
