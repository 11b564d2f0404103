"""Results and what can be concluded from them: intervals, tests and differences, the same for every command.

`statistics` holds the numbers, `measures` the scores that can be computed again from logged samples. `realm report`,
`realm compare` and the study take them from here.
"""
