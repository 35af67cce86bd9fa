"""Warm servers seen from the controller: which one a job may use, a node that comes from it, a list of all."""
