"""Predictions files: their lines, their columns, and the comparison of two of them."""

# Where they are in the output folder of a job.
SCORE = "named-outputs/score"
