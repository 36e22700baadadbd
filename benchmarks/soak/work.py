"""What the runs of a soak compute, and what they must come to."""

from __future__ import annotations


def digest(x: int) -> str:
    """A text that only this input gives; each 97th is too long for an event, and becomes an object of its own."""
    import hashlib
    import time

    time.sleep(x % 7 / 1000)
    return hashlib.sha256(str(x).encode()).hexdigest() * (400 if x % 97 == 0 else 1)
