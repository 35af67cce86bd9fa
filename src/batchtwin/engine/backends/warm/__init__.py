"""Warm servers, seen from the controller: which one a job may use, a node that it forks, the list of all."""
