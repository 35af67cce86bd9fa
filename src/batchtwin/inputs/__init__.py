"""Input files: listed, fetched from a store, cut into mini-batches."""
