"""What scripts log with MLflow: where workers write it, how it is read, and the run that it is copied to."""
