"""The fork server: the process that imports once and forks workers, and its client in the node."""
