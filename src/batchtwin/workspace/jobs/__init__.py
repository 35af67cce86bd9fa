"""Jobs: each invocation becomes a process of its own; and the results that it leaves."""
