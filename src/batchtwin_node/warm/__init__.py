"""A warm server: a fork server's state that outlives its job, and gives later jobs a node and a fork server at once."""
