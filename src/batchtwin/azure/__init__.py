"""Faces of the workspace that Azure's own tools know: the words of `az ml`, the REST service of the SDK."""

from batchtwin.azure.client import local_ml_client

__all__ = ["local_ml_client"]
