"""What a call has its package load, xarray's engines for one, is looked for in the image before anything starts."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr

from fanfold.engines.base import Description
from fanfold.errors import CaptureError
from fanfold.source.capture import Captured
from fanfold.submission.implied import check_implied, implied_here

#: An image with no engine of xarray's or of pandas'.
IMAGE = Description("aws", 120.0, 4096, lambda: 1000, {}, "image")._replace(
    packages=dict.fromkeys(("xarray", "pandas", "polars", "numpy", "geopandas"), "1.0")
)


FIRST_YEAR = 2020


def opens(path: str):
    return xr.open_zarr(path).sel(year=FIRST_YEAR)


def writes(path: str):
    xr.Dataset().to_zarr(path)


def opens_in_pieces(path: str):
    import xarray

    return xarray.open_dataset(path, chunks={"x": 100})


def opens_with_an_engine(path: str):
    from xarray import open_dataset as opened

    return opened(path, engine="rasterio")


def reads_a_sheet(path: str):
    return by_another(path)


def by_another(path: str):
    return pd.read_excel(path)


def reads_a_sheet_its_own_way(path: str):
    return pd.read_excel(path, engine="calamine")


def reads_delta(path: str):
    import polars

    return polars.scan_delta(path)


@pytest.mark.parametrize(
    ("fn", "said", "package"),
    [
        (opens, "xarray.open_zarr loads zarr,", "zarr"),
        (writes, "to_zarr loads zarr,", "zarr"),
        (opens_in_pieces, "xarray.open_dataset loads dask,", "dask"),
        (opens_with_an_engine, "xarray.open_dataset loads rioxarray,", "rioxarray"),
        (reads_a_sheet, "pandas.read_excel loads openpyxl (or xlrd, ", "openpyxl"),
        (reads_a_sheet_its_own_way, "pandas.read_excel loads python_calamine,", "python"),
        (reads_delta, "polars.scan_delta loads deltalake,", "deltalake"),
    ],
)
def test_a_call_that_loads_what_the_image_lacks_is_refused_by_its_line(fn, said, package):
    bundle = Captured(fn).bundle
    with pytest.raises(CaptureError) as caught:
        check_implied(bundle, IMAGE)
    text = str(caught.value)
    assert f"{Path(__file__).name}, line " in text
    assert said in text
    assert f'packages=["{package}' in text
    module = said.split("loads ")[1].split()[0].rstrip(",")
    check_implied(bundle, IMAGE, brought={module})
    check_implied(bundle, IMAGE._replace(packages={**IMAGE.packages, module: "1.0"}))
    check_implied(bundle, IMAGE._replace(packages={}))  # nothing is known of it


def test_a_script_and_what_a_module_has_wrapped_are_looked_at_as_well(tmp_path, monkeypatch):
    (tmp_path / "wrapper_of_mine.py").write_text(
        "import functools\n\n\ndef logged(fn):\n    @functools.wraps(fn)\n    def inner(*args):\n"
        "        return fn(*args)\n\n    return inner\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import xarray as xr\nimport wrapper_of_mine\n\n\ndef opens(path):\n    return xr.open_zarr(path)\n\n\n"
        "wrapped = wrapper_of_mine.logged(opens)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = runpy.run_path(str(script), run_name="__main__")
    for fn in (made["opens"], made["wrapped"]):
        with pytest.raises(CaptureError, match=r"script\.py, line 6: xarray\.open_zarr loads zarr,"):
            check_implied(Captured(fn).bundle, IMAGE)


def does_without(path: str):
    try:
        return xr.open_zarr(path)
    except ImportError:
        return xr.open_dataset(path)


def has_a_method_of_that_name(path: str):
    class Mine:
        def open_zarr(self, path: str):
            return xr.Dataset()

    return Mine().open_zarr(path)


def leaves_it_to_the_file(path: str):
    return xr.open_dataset(path, chunks=None)


@pytest.mark.parametrize("fn", [does_without, has_a_method_of_that_name, leaves_it_to_the_file])
def test_what_may_do_without_is_not_refused(fn):
    check_implied(Captured(fn).bundle, IMAGE)


def test_auto_brings_what_is_installed_here():
    assert implied_here(Captured(opens).bundle, IMAGE) == ["zarr"]
    assert implied_here(Captured(opens_in_pieces).bundle, IMAGE) == ["dask"]
    assert implied_here(Captured(does_without).bundle, IMAGE) == []


def test_of_a_module_that_travels_whole_it_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "zarr_opener_of_mine.py").write_text(
        "import xarray as xr\n\ndef opened(path):\n    return xr.open_zarr(path)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def mean(path: str):
        import zarr_opener_of_mine

        return zarr_opener_of_mine.opened(path)

    check_implied(Captured(mean).bundle, IMAGE)
    assert "zarr_opener_of_mine.py, line 4: xarray.open_zarr loads zarr, which" in capsys.readouterr().err
