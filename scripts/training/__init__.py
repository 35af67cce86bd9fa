"""The steps of scripts/train.py: the table, the model, its folder."""
