"""xarray's Dataset, DataArray and Variable: their arrays, names, coordinates, attributes and encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fanfold.codec.encoded import Encoded
    from fanfold.codec.values import Tagger

_KINDS = ("Dataset", "DataArray", "Variable", "IndexVariable")


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """xarray's values are tagged: what is large in them are arrays."""
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of a dataset, an array or a variable; None for anything else."""
    name = type(value).__qualname__
    if name not in _KINDS:
        return None
    if name in ("Variable", "IndexVariable"):
        return {"$variable": [name, *_variable(value, tagger)]}
    whole = value if name == "Dataset" else value._to_temp_dataset()
    variables = [[tagger.at(key, key), *_variable(item, tagger, key)] for key, item in whole.variables.items()]
    facts = {"coords": [tagger.tree(key) for key in whole.coords], "indexes": _indexes(whole, tagger)}
    if name == "DataArray":
        facts["name"] = tagger.tree(value.name)
    else:
        facts["attrs"] = tagger.at("attrs", dict(value.attrs))
        facts["encoding"] = tagger.at("encoding", _plain_encoding(value.encoding))
    return {"$xarray": [name, variables, facts]}


def _variable(variable: Any, tagger: Tagger, key: Any = "data") -> list[Any]:
    """Dimensions, values, attributes and encoding."""
    import pandas as pd

    data = variable.data
    # Dask's travel towards a run as the plan that they are; pint's have a unit; sparse ones refuse to be anything else;
    # pandas' are intervals, periods, categories.
    is_of_its_own_kind = hasattr(data, "__array_function__") or hasattr(data, "__array_namespace__")
    as_it_is = isinstance(data, pd.api.extensions.ExtensionArray) or (
        is_of_its_own_kind and not isinstance(data, (np.ndarray, np.generic))
    )
    return [
        [tagger.tree(dim) for dim in variable.dims],
        tagger.at(key, data if as_it_is else np.asarray(data)),
        tagger.at("attrs", dict(variable.attrs)),
        tagger.at("encoding", _plain_encoding(variable.encoding)),
    ]


def _plain_encoding(encoding: Any) -> dict[Any, Any]:
    """How it was stored, less what only the file knows that it was read from."""
    gone = ("source", "original_shape", "preferred_chunks")
    return {key: item for key, item in encoding.items() if key not in gone}


def _indexes(whole: Any, tagger: Tagger) -> list[Any]:
    """Each index by the coordinates that it is made of, the names of a multi-index's levels, and pandas' own index."""
    import pandas as pd

    found = []
    for index, variables in whole.xindexes.group_by_index():
        if type(index).__name__ not in ("PandasIndex", "PandasMultiIndex"):  # of ranges, shapes, points, a raster
            found.append([None, [tagger.tree(key) for key in variables], [], tagger.at("index", index)])
            continue
        multi = type(index).__name__ == "PandasMultiIndex"
        levels = list(index.index.names) if multi else []
        dim = tagger.tree(index.dim)
        one = [dim, [tagger.tree(key) for key in variables], [tagger.tree(level) for level in levels]]
        has_more = isinstance(index.index, pd.RangeIndex) or getattr(index.index, "freq", None) is not None
        if multi or has_more or not isinstance(index.index.dtype, (np.dtype, pd.StringDtype)):
            # Of intervals, periods, categories, moments of a time zone or of a frequency; levels of several in order.
            one.append(tagger.at("index", index.index))
        found.append(one)
    return found


def _read_variable(payload: Any) -> Any:
    import xarray as xr

    name, dims, data, attrs, encoding = payload
    if name not in ("Variable", "IndexVariable"):
        raise ValueError(f"no variable is a {name}")
    return getattr(xr, name)(tuple(dims), data, attrs, encoding)


def _read_xarray(payload: Any) -> Any:
    import xarray as xr

    kind, variables, facts = payload
    made = {key: xr.Variable(tuple(dims), data, attrs, encoding) for key, dims, data, attrs, encoding in variables}
    indexed = {key for _, keys, *_ in facts["indexes"] for key in keys}
    multi = {key for _, keys, levels, *_ in facts["indexes"] if levels for key in keys}
    coords = xr.Coordinates({key: made[key] for key in facts["coords"] if key not in multi}, indexes={})
    dataset = xr.Dataset({key: made[key] for key in made if key not in facts["coords"]}, coords=coords)
    for dim, keys, levels, *own in facts["indexes"]:
        if own:
            is_whole = isinstance(own[0], xr.Index)
            index = own[0] if is_whole else _of_pandas(own[0], dim, levels, keys, made)
            known = {key: made[key] for key in keys} if is_whole else None
            coords = xr.Coordinates(index.create_variables(known), indexes=dict.fromkeys(keys, index))
            dataset = dataset.assign_coords(coords)
        else:
            dataset = _indexed(dataset, dim, levels, {key: made[key] for key in keys})
    dataset = _in_order(dataset, made, indexed)
    if kind == "DataArray":
        array = dataset[_only(made, dataset)]
        array.name = facts["name"]
        return array
    dataset.attrs, dataset.encoding = facts["attrs"], facts["encoding"]
    return dataset


def _of_pandas(index: Any, dim: Any, levels: list[Any], keys: list[Any], made: dict[Any, Any]) -> Any:
    from xarray.indexes import PandasIndex, PandasMultiIndex

    if not levels:
        return PandasIndex(index.rename(keys[0]), dim)
    return PandasMultiIndex(index, dim, level_coords_dtype={level: made[level].dtype for level in levels})


def _indexed(dataset: Any, dim: Any, levels: list[Any], variables: dict[Any, Any]) -> Any:
    """The dataset with one index more."""
    import pandas as pd
    import xarray as xr

    if not levels:
        (name,) = variables
        return dataset.set_xindex(name)
    tree = pd.MultiIndex.from_arrays([variables[level].values for level in levels], names=levels)
    made = dataset.assign_coords(xr.Coordinates.from_pandas_multiindex(tree, dim))
    for name, variable in variables.items():
        made[name].attrs, made[name].encoding = variable.attrs, variable.encoding
    return made


def _in_order(dataset: Any, made: dict[Any, Any], indexed: set[Any]) -> Any:
    for name in indexed:
        dataset[name].attrs, dataset[name].encoding = made[name].attrs, made[name].encoding
    return dataset


def _only(made: dict[Any, Any], dataset: Any) -> Any:
    return next(key for key in made if key not in dataset.coords)


UNTAG: dict[str, Callable[[Any], Any]] = {"$xarray": _read_xarray, "$variable": _read_variable}
