"""The entry script: load, check, lint."""
