"""`batchtwin init`: the files of a user's own deployment, made for a model."""
