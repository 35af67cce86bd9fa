"""`batchtwin watch`: score again whenever something changes, and show what that does to the predictions."""
