"""What scripts log with MLflow: where workers put it, how it is read, and the run that gets it."""
