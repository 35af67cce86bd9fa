"""The scoring script for MLflow models that come without one."""
