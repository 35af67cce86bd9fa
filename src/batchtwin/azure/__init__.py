"""The faces of Azure ML: the commands of `az ml`, over the local workspace."""
