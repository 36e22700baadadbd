"""scipy's sparse matrices and arrays, and its frozen distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.codec.encoded import Encoded
    from fanfold.codec.values import Tagger

#: What each format keeps its numbers in.
_ARRAYS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
}
_FORMATS = (*_ARRAYS, "coo", "dok", "lil")


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """scipy's values are tagged: what is large in them are arrays."""
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a sparse matrix or array, or of a frozen distribution; None for anything else."""
    name = type(value).__qualname__
    if type(value).__module__.startswith("scipy.sparse") and name.rpartition("_")[0] in _FORMATS:
        return {"$sparse": [name, list(value.shape), *_arrays(value, tagger)]}
    if name in ("rv_continuous_frozen", "rv_discrete_frozen"):
        return _frozen(value, tagger)
    return None


def _arrays(value: Any, tagger: Tagger) -> list[Any]:
    kind = type(value).__qualname__.rpartition("_")[0]
    if kind in _ARRAYS:
        return [tagger.at(name, getattr(value, name)) for name in _ARRAYS[kind]]
    coordinates = value.tocoo()
    axes = coordinates.coords if hasattr(coordinates, "coords") else (coordinates.row, coordinates.col)
    is_canonical = [True] if kind == "coo" and coordinates.has_canonical_format else []
    return [
        tagger.at("data", coordinates.data),
        *is_canonical,
        *(tagger.at(f"axis {n}", axis) for n, axis in enumerate(axes)),
    ]


def _frozen(value: Any, tagger: Tagger) -> Any:
    """By its name and parameters, where it is one of scipy's own that draws from numpy's common generator."""
    import scipy.stats

    dist = value.dist
    known: Any = getattr(scipy.stats, dist.name or "", None)
    if type(known) is not type(dist) or dist._random_state is not known._random_state:
        return None
    return {"$frozen": [dist.name, tagger.at("args", list(value.args)), tagger.at("kwds", dict(value.kwds))]}


def _read_sparse(payload: Any) -> Any:
    import scipy.sparse

    name, shape, *arrays = payload
    kind = name.rpartition("_")[0]
    if kind not in _FORMATS or name not in (f"{kind}_matrix", f"{kind}_array"):
        raise ValueError(f"no sparse format is called {name}")
    make = getattr(scipy.sparse, name)
    if kind in _ARRAYS:
        made = make(tuple(arrays), shape=tuple(shape))
        if hasattr(made, "check_format"):
            made.check_format()  # indices beyond the shape would be read from memory that is not the array's
        return made
    data, *axes = arrays
    is_canonical = axes[0] is True
    if is_canonical:
        del axes[0]
    suffix = name.rpartition("_")[2]
    coordinates = getattr(scipy.sparse, f"coo_{suffix}")((data, tuple(axes)), shape=tuple(shape))
    if kind != "coo":
        return make(coordinates)
    coordinates.has_canonical_format = is_canonical  # no place twice, and all in order: said by its maker
    return coordinates


def _read_frozen(payload: Any) -> Any:
    import scipy.stats

    name, args, keywords = payload
    dist = getattr(scipy.stats, name)
    if not isinstance(dist, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        raise TypeError(f"{name} is no distribution")
    return dist(*args, **keywords)


UNTAG: dict[str, Callable[[Any], Any]] = {"$sparse": _read_sparse, "$frozen": _read_frozen}
