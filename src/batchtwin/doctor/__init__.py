"""`batchtwin doctor`: what works on this machine and in a deployment, what does not, and how to fix it."""
