"""The worker's side of execution: a process that performs calls, one at a time."""
