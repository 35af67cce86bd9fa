"""`from azureml_user.parallel_run import EntryScript`, as in the service [A]."""

from azureml_user.parallel_run.entry_script import EntryScript

__all__ = ["EntryScript"]
