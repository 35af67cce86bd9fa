"""Predictions to lines of the output."""
