"""The workspace for Azure's own tools: the commands of `az ml`, and the REST service of the SDK."""

from batchtwin.azure.client import local_ml_client

__all__ = ["local_ml_client"]
