"""Predictions -> lines of the output."""
