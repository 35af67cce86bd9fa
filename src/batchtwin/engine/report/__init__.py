"""The report of a job: one HTML file that shows what ran, where, for how long, what failed and what came out.

`collect` reads the ledger once, `predictions` the output; `page` makes the HTML of both, `write` puts it in its place.
"""
