"""Jobs: how an invocation becomes a process of its own, and what that process leaves."""
