"""What runs in a worker process: the scoring script, the MLflow driver, readers. Imports `spec` only."""
