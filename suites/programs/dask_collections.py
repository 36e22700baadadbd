"""dask's collections, and xarray's on them, with an Executor as the scheduler."""

import dask
import dask.array
import dask.bag
import dask.dataframe
import numpy as np
import pandas as pd
import xarray
from _cases import case, end, executor_type


def square(x):
    return x * x


def increase(x):
    return x + 1


def groups():
    frame = dask.dataframe.from_pandas(pd.DataFrame({"a": [1, 1, 2], "b": [1, 2, 3]}), npartitions=2)
    return frame.groupby("a").b.sum().compute().to_dict()


def mean():
    data = xarray.DataArray(np.arange(12.0).reshape(3, 4), dims=("x", "y"))
    return float(data.chunk({"x": 1}).mean().compute())


CASES = {
    "delayed": (lambda: dask.compute(sum([dask.delayed(square)(i) for i in range(5)])), (30,)),
    "array.sum": (lambda: float(dask.array.ones((200, 200), chunks=50).sum().compute()), 40000.0),
    "array.map_blocks": (lambda: dask.array.arange(4, chunks=2).map_blocks(increase).compute().tolist(), [1, 2, 3, 4]),
    "dataframe.groupby": (groups, {1: 3, 2: 3}),
    "bag.map": (lambda: dask.bag.from_sequence(range(4), npartitions=2).map(square).compute(), [0, 1, 4, 9]),
    "xarray.mean": (mean, 5.5),
}

if __name__ == "__main__":
    for name, (act, expected) in CASES.items():
        with executor_type()(2) as executor, dask.config.set(scheduler=executor):
            case(name, act, expected)
    end()
