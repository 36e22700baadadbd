"""What dask or polars has not computed yet as input: a run gets its own part of the plan, and computes it."""

from __future__ import annotations

from functools import partial

import dask.array as da
import numpy as np
import polars as pl
import xarray as xr

import fanfold
from fanfold.codec import encode_json


def mean(part):
    return float(part.mean().compute())


def lazily(part):
    return part * 2


def called(function):
    return function(3)


def test_blocks_and_chunked_arrays_and_datasets_are_inputs_and_the_runs_numbers_their_labels():
    values = np.arange(24.0).reshape(4, 6)
    whole = da.from_array(values, chunks=(2, 3))
    cube = xr.Dataset({"t": (("y", "x"), whole)}, {"y": range(4)})
    inputs = [whole.blocks[0, 0], whole.to_delayed()[1, 1], cube.t.isel(y=slice(2, 4)), cube.isel(y=0).t.sum()]
    means = fanfold.submit(mean, inputs)
    assert means["result"].tolist() == [values[:2, :3].mean(), values[2:, 3:].mean(), values[2:].mean(), 15.0]
    assert means.index.name == "run"
    again = fanfold.submit(mean, inputs, collect=False).wait()
    assert again.counts() == {"cached": 4}

    [failed] = fanfold.submit(lazily, [whole], collect=False).results(return_exceptions=True)
    assert "result is a dask.Array that has not been computed" in str(failed)
    assert "return `value.compute()`" in str(failed)


def test_a_block_brings_no_more_of_the_plan_than_its_own_part():
    whole = da.from_array(np.zeros((100, 100)), chunks=(10, 10)) + 1
    assert len(encode_json(whole.blocks[0, 0], own=lambda _: None)) < 20_000  # all 100 would take 250,000


def rows_of(frame):
    return frame.collect().height


def filtered(frame):
    return frame.filter(True)


def test_a_lazy_frame_of_polars_is_an_input_and_what_it_scans_counts_for_the_cache(tmp_path):
    path = tmp_path / "n.parquet"
    pl.DataFrame({"n": [1, 2, 3]}).write_parquet(path)
    inputs = [pl.scan_parquet(path).filter(pl.col("n") > 1), pl.LazyFrame({"n": [1]})]
    frame = fanfold.submit(rows_of, inputs)
    assert (frame["result"].tolist(), frame.index.name) == ([2, 1], "run")
    assert fanfold.submit(rows_of, inputs, collect=False).wait().counts() == {"cached": 2}
    pl.DataFrame({"n": [1, 2, 3, 4]}).write_parquet(path)
    again = fanfold.submit(rows_of, inputs, collect=False)
    assert (again.results(), again.counts()) == ([3, 1], {"succeeded": 1, "cached": 1})

    [failed] = fanfold.submit(filtered, inputs[1:], collect=False).results(return_exceptions=True)
    assert "return `value.collect()`" in str(failed)


def test_an_argument_that_only_a_worker_can_make_again_does_not_stop_the_frame_of_the_results():
    frame = fanfold.submit(called, [partial(pow, 2), partial(max, 7)])
    assert frame["result"].tolist() == [8, 7]
    assert len(set(frame.index)) == 2
