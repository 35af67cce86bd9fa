"""`batchtwin doctor`: what of this machine and of a deployment works, what does not, and what mends it."""
