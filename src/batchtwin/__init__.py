"""batchtwin: the twin of an Azure Machine Learning batch endpoint, on your own machine."""

__version__ = "0.1.0"
