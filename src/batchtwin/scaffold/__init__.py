"""`batchtwin init`: the files of a deployment of one's own, made for a model."""
