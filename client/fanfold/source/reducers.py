"""Whether a class says itself how its objects are pickled."""

from __future__ import annotations

from typing import Any

from fanfold.codec.forgotten import REDUCERS
from fanfold.source.modules import is_library


def says_nothing(kind: Any) -> bool:
    """Whether a class of the user's, and all that it extends, leave it to Python to say how its objects are pickled."""
    above = kind.__mro__[:-1]
    return not any(is_library(str(base.__module__)) or any(name in vars(base) for name in REDUCERS) for base in above)
