"""`realm report`: what a run did, as one HTML page, PNGs and a table on the terminal.

Serves design sections "EAAI" (both curves and their gap) and "MRPV" (length by regime, every component).
`command` is the entry point; `reading` and `scalars` read a run folder, `stats` compares, `summary` says it in
words, `plots` (with `method_plots` and `time_plots`, drawn in `style`) and `page` show it. Nothing here changes a run.
"""
