"""Packages that a UDF asks for beside those that are where it runs: resolved by its caller, laid over by its worker.

On the caller's side `requirements` reads what was asked for, `resolve` has uv make a lock of it, and `wheels` brings
the lock's files into the object store. On the other side `unpack` makes an interpreter of a lock.
"""
