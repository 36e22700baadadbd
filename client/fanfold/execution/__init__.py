"""One routine that runs a UDF call everywhere: on a laptop, in Lambda, on a Batch machine.

A `Pool` (supervisor side) keeps worker processes, hands them calls from feeds, and turns what happens into events.
A worker (child side, `worker.py` and `perform.py`) receives source text and arguments and answers with encoded results.
Deadline and memory are enforced from outside the worker, so that nothing the UDF does can escape them.
"""
