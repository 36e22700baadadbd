"""The caller's side of execution: worker processes, the queue that they share, and the limits they keep."""
