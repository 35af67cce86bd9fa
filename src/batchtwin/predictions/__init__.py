"""Predictions files: their lines, their columns, and the comparison of two of them."""
