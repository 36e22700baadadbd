"""Objects of classes that extend an array or a frame: the class, the plain array or frame, and what was added to it.

Also a ufunc that `numpy.frompyfunc` has made: the function that it calls.
"""

from __future__ import annotations

import sys
from typing import Any

#: What a class has to say how it is pickled. Where one says it itself, it is asked.
_REDUCERS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_PACKAGES = ("numpy", "pandas", "geopandas")
#: The classes that a codec has whole, by module and name.
_PLAIN = {"ndarray", "MaskedArray", "DataFrame", "Series", "GeoDataFrame", "GeoSeries"}
#: What pandas keeps for itself.
_OWN = frozenset({"_mgr", "_attrs", "_flags", "_item_cache", "_cache", "_cacher", "_is_copy", "_index", "_indexer"})


def taken_apart(value: Any, kind: type) -> tuple[Any, dict[str, Any]] | None:
    """The plain value of an object whose class extends one that a codec has, and its attributes; None for others."""
    base = _plain_base(kind)
    if base is None:
        return None
    if base.__name__ == "ndarray":
        own = {} if kind.__module__.partition(".")[0] == "numpy" else vars(value)  # a memmap: its file stays here
        return value.view(base), dict(own)
    if base.__name__ == "MaskedArray":
        plain = value.view(base)
        return plain, {name: item for name, item in vars(value).items() if name not in vars(plain)}
    plain = object.__new__(base)
    vars(plain).update(vars(value))
    names = {*_OWN, *base._metadata}
    return plain, {name: item for name, item in vars(value).items() if name not in names}


def _plain_base(kind: type) -> Any:
    """The class above that a codec has, where all between leave it to that one to say how they are pickled."""
    for above in kind.__mro__:
        package = above.__module__.partition(".")[0]
        if package in _PACKAGES and above.__name__ in _PLAIN:
            return None if above is kind else above
        if any(name in vars(above) for name in _REDUCERS) and package not in _PACKAGES:
            return None
    return None


def put_on(kind: type, plain: Any, attributes: dict[str, Any] | None = None) -> Any:
    """An object of the class with the contents of a plain array or frame. Raises `TypeError` where it extends none."""
    base = _plain_base(kind)
    if base is None or type(plain) is not base:
        raise TypeError(f"{kind.__qualname__} extends no {type(plain).__qualname__}")
    if base.__name__ in ("ndarray", "MaskedArray"):
        made: Any = plain.view(kind)
    else:
        made = object.__new__(kind)  # as pandas does: an `__init__` of the class's own may take something else
        vars(made).update(vars(plain))
    if attributes:
        vars(made).update(attributes)
    return made


def function_of(ufunc: Any) -> tuple[Any, ...] | None:
    """What `numpy.frompyfunc` was given for a ufunc, its identity included; None for one of a package's."""
    if getattr(ufunc, "types", None) is None or not all(set(each) <= {"O", "-", ">"} for each in ufunc.types):
        return None
    import gc  # numpy shows the function to nobody else

    held = [each for each in gc.get_referents(ufunc) if callable(each)]
    return (held[0], ufunc.nin, ufunc.nout, ufunc.identity) if len(held) == 1 else None


def frompyfunc() -> Any:
    """numpy's function of that name."""
    return sys.modules["numpy"].frompyfunc


def descriptor_again(kind: Any, base: Any, given: tuple[Any, ...], own: dict[str, Any]) -> Any:
    """An object that extends `property` or the like, without its own `__init__`."""
    made = base.__new__(kind)
    base.__init__(made, *given)
    if own:
        vars(made).update(own)
    return made
