"""The node: runs scripts and models where the deployment's packages are. Standard library of Python 3.8 only."""
