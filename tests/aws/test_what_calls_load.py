"""What a call has its package load by what it is given: each is tried without that, and is refused for AWS."""

from __future__ import annotations

import linecache
import re
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from fanfold.core.cache_key import not_brought, package_of
from fanfold.engines.base import Description
from fanfold.errors import CaptureError
from fanfold.source.capture import Captured
from fanfold.submission.implied import ImpliedByInputs, check_implied
from fanfold.submission.plugins import PROTOCOLS

#: What all the functions below import, and nothing else.
IMPORTED = (
    "xarray",
    "pandas",
    "polars",
    "numpy",
    "geopandas",
    "dask",
    "fsspec",
    "zarr",
    "sklearn",
    "matplotlib",
    "joblib",
)
IMAGE = Description("aws", 120.0, 4096, lambda: 1000, {}, "image")._replace(
    packages=dict.fromkeys((*IMPORTED, "scikit-learn"), "1.0")
)
WHERE = "gs://bucket/scenes"
ENGINE = "rasterio"


def opens_zarr_in_s3(path):
    return xr.open_zarr("s3://bucket/a.zarr")


def opens_zarr_by_a_name(path):
    address = f"{WHERE}/{path}.zarr"
    return xr.open_zarr(address)


def writes_zarr(path):
    return xr.Dataset({"t": ("x", np.ones(2))}).to_zarr("gs://bucket/a.zarr")


def opens_by_its_ending(path):
    return xr.open_dataset("scene.nc")


def opens_by_a_constants_engine(path):
    return xr.open_dataset("scene.tif", engine=ENGINE)


def opens_zarr_in_pieces(path):
    return xr.open_zarr("a.zarr", chunks={})


def opens_many(path):
    return xr.open_mfdataset(["a.nc", "b.nc"], engine="netcdf4")


def writes_netcdf(path):
    return xr.Dataset({"t": ("x", np.ones(2))}).to_netcdf(f"{path}/a.nc", engine="h5netcdf")


def reads_a_table(path):
    return pd.read_csv(f"gs://bucket/{path}.csv")


def writes_a_table(path):
    return pd.DataFrame({"x": [1]}).to_csv("az://bucket/a.csv")


def reads_parquet(path):
    return pd.read_parquet("az://bucket/a.parquet")


def reads_parquet_its_own_way(path):
    return pd.read_parquet("a.parquet", engine="fastparquet")


def reads_parquet_with_options(path):
    return pd.read_parquet("s3://bucket/a.parquet", storage_options={"anon": True})


def reads_xml(path):
    return pd.read_xml("a.xml")


def reads_html(path):
    return pd.read_html("<table><tr><td>1</td></tr></table>", flavor="bs4")


def writes_xml(path):
    return pd.DataFrame({"x": [1]}).to_xml()


def writes_a_sheet(path):
    with pd.ExcelWriter(f"{path}/a.xlsx") as sheets:
        pd.DataFrame({"x": [1]}).to_excel(sheets)


def reads_hdf(path):
    return pd.read_hdf("a.h5", "key")


def writes_latex(path):
    return pd.DataFrame({"x": [1]}).to_latex()


def writes_compressed(path):
    return pd.DataFrame({"x": [1]}).to_csv(f"{path}/a.csv.zst")


def writes_compressed_so(path):
    return pd.DataFrame({"x": [1]}).to_pickle(f"{path}/a", compression="zstd")


def reads_a_database(path):
    return pd.read_sql("SELECT 1", "postgresql+psycopg2://me@host/data")


def evaluates(path):
    return pd.eval("1 + 1", engine="numexpr")


def reads_sheets_by_polars(path):
    import polars as pl

    return pl.read_excel(f"{path}/a.xlsx", engine="calamine")


def reads_a_database_by_polars(path):
    import polars as pl

    return pl.read_database_uri("SELECT 1", "postgresql://me@host/data")


def writes_sheets_by_polars(path):
    import polars as pl

    return pl.DataFrame({"x": [1]}).write_excel(f"{path}/a.xlsx")


def reads_a_layer(path):
    import geopandas as gpd

    return gpd.read_file("a.gpkg", engine="fiona")


def shows_a_map(path):
    import geopandas as gpd

    return gpd.GeoDataFrame({"x": [1]}, geometry=gpd.points_from_xy([1], [1]), crs=4326).explore()


def opens_a_file(path):
    import fsspec

    with fsspec.open("simplecache::gs://bucket/a") as file:
        return file.read()


def asks_for_a_file_system(path):
    import fsspec

    return fsspec.filesystem("abfs")


def opens_an_array(path):
    import zarr

    return zarr.open_group("gs://bucket/a.zarr", mode="r")


def computes_elsewhere(path):
    import dask

    return dask.compute(dask.delayed(sum)([1]), scheduler="distributed")


def reads_frames_by_dask(path):
    import dask.bag as db

    return db.read_text("gs://bucket/*.txt").compute()


def draws_in_a_window(path):
    import matplotlib

    matplotlib.use("module://mplcairo.base", force=True)
    import matplotlib.pyplot as plt

    return plt.figure()


def hands_to_a_cluster(path):
    import dask.distributed

    return dask.distributed.Client


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each kind that is looked at before what reads it is loaded."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "scene.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    (folder / "a.xlsx").write_bytes(b"PK")
    (folder / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    pd.DataFrame({"x": [1]}).to_parquet(folder / "a.parquet")
    xr.Dataset({"t": ("x", np.ones(2))}).to_zarr(folder / "a.zarr", consolidated=False)
    return folder


@pytest.fixture
def folder(files, monkeypatch):
    monkeypatch.chdir(files)
    return files


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("fn", "said"),
    [
        (opens_zarr_in_s3, "xarray.open_zarr of s3:// loads s3fs,"),
        (opens_zarr_by_a_name, "xarray.open_zarr of gs:// loads gcsfs,"),
        (writes_zarr, "to_zarr of gs:// loads gcsfs,"),
        (opens_by_its_ending, "xarray.open_dataset of .nc loads netCDF4 (or h5netcdf, scipy),"),
        (opens_by_a_constants_engine, "xarray.open_dataset loads rioxarray,"),
        (opens_many, "xarray.open_mfdataset loads netCDF4,"),
        (writes_netcdf, "to_netcdf loads h5netcdf,"),
        (reads_a_table, "pandas.read_csv of gs:// loads gcsfs,"),
        (writes_a_table, "to_csv of az:// loads adlfs,"),
        (reads_parquet, "pandas.read_parquet of az:// loads adlfs,"),
        (reads_parquet_its_own_way, "pandas.read_parquet loads fastparquet,"),
        (reads_parquet_with_options, "pandas.read_parquet of s3:// loads s3fs,"),
        (reads_xml, "pandas.read_xml loads lxml,"),
        (reads_html, "pandas.read_html loads bs4,"),
        (writes_xml, "to_xml loads lxml,"),
        (writes_a_sheet, "pandas.ExcelWriter loads openpyxl (or xlsxwriter, odf),"),
        (reads_hdf, "pandas.read_hdf loads tables,"),
        (writes_latex, "to_latex loads jinja2,"),
        (writes_compressed, "to_csv of .zst loads zstandard,"),
        (writes_compressed_so, "to_pickle of .zst loads zstandard,"),
        (reads_a_database, "pandas.read_sql of postgresql+psycopg2:// loads sqlalchemy,"),
        (evaluates, "pandas.eval loads numexpr,"),
        (reads_sheets_by_polars, "polars.read_excel loads fastexcel,"),
        (reads_a_database_by_polars, "polars.read_database_uri loads connectorx,"),
        (writes_sheets_by_polars, "write_excel loads xlsxwriter,"),
        (reads_a_layer, "geopandas.read_file loads fiona,"),
        (shows_a_map, "explore loads folium,"),
        (opens_a_file, "fsspec.open of gs:// loads gcsfs,"),
        (asks_for_a_file_system, "fsspec.filesystem of abfs loads adlfs,"),
        (opens_an_array, "zarr.open_group of gs:// loads gcsfs,"),
        (computes_elsewhere, "dask.compute loads distributed,"),
        (reads_frames_by_dask, "dask.bag.read_text of gs:// loads gcsfs,"),
        (draws_in_a_window, "matplotlib.use of module://mplcairo.base loads mplcairo,"),
        (hands_to_a_cluster, "dask.distributed loads distributed,"),
    ],
)
def test_a_call_is_refused_for_what_it_cannot_do_without(fn, said, monkeypatch, folder):
    wanted = said.split(" loads ")[1].rstrip(",").replace("(or ", "").replace(")", "").split(", ")
    wanted = [module for each in wanted for module in each.split()]
    lacking = IMAGE._replace(packages={name: "1.0" for name in IMAGE.packages if name not in wanted})
    bundle = Captured(fn).bundle
    refused = ""
    for _ in range(5):  # what stands before it is brought along
        with pytest.raises(CaptureError) as caught:
            check_implied(bundle, lacking)
        refused = str(caught.value)
        if said in refused:
            break
        module = refused.split(" loads ")[1].split(",")[0].split()[0]
        lacking = lacking._replace(packages={**lacking.packages, package_of(module): "1.0"})
    assert said in refused
    line = int(re.search(rf"{re.escape(__file__)}, line (\d+): ", refused)[1])
    assert "def " not in linecache.getline(__file__, line)
    assert said.split()[0].rpartition(".")[2] in linecache.getline(__file__, line)
    assert f'packages=["{package_of(wanted[0])}"]' in refused
    for module in wanted:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises((ImportError, ValueError, RuntimeError)):
        fn(str(folder))


def test_a_store_that_is_opened_in_pieces_wants_dask():
    lacking = IMAGE._replace(packages={name: "1.0" for name in IMAGE.packages if name != "dask"})
    with pytest.raises(CaptureError, match=r"xarray\.open_zarr loads dask,"):
        check_implied(Captured(opens_zarr_in_pieces).bundle, lacking)


# What is not refused, as it works, or nobody can tell.


def opens_by_arrow(path):
    return pd.read_parquet("s3://bucket/a.parquet"), pd.DataFrame({"x": [1]}).to_parquet("gs://bucket/a.parquet")


def opens_by_urllib(path):
    return pd.read_csv("https://host/a.csv"), pd.read_json("http://host/a.json")


def reads_xml_by_itself(path):
    return pd.read_xml("a.xml", parser="etree")


def opens_zarr_as_it_likes(path):
    return xr.open_zarr("a.zarr", chunks="auto")


def reads_frames_by_polars(path):
    import polars as pl

    return pl.read_parquet("gs://bucket/a.parquet"), pl.scan_csv("az://bucket/a.csv")


def calls_a_function_of_that_name(path):
    np.to_zarr = print
    return np.to_zarr(path)


def has_a_name_of_its_own(pd):
    return pd.read_hdf("a.h5")


def is_given_options(path, **options):
    return pd.read_xml("a.xml", **options)


def does_without(path):
    import contextlib

    with contextlib.suppress(ImportError):
        return pd.read_hdf("a.h5")


def opens_a_small_database(path):
    return pd.read_sql("SELECT 1", "sqlite:///a.db")


@pytest.mark.parametrize(
    "fn",
    [
        opens_by_arrow,
        opens_by_urllib,
        reads_xml_by_itself,
        opens_zarr_as_it_likes,
        reads_frames_by_polars,
        calls_a_function_of_that_name,
        has_a_name_of_its_own,
        is_given_options,
        does_without,
    ],
)
def test_what_works_without_is_not_refused(fn, capsys):
    described = IMAGE._replace(packages={**IMAGE.packages, "pyarrow": "1.0"})
    check_implied(Captured(fn).bundle, described)
    assert capsys.readouterr().err == ""


def test_a_database_of_python_itself_wants_sqlalchemy_alone():
    with pytest.raises(CaptureError, match=r"pandas\.read_sql of sqlite:// loads sqlalchemy,"):
        check_implied(Captured(opens_a_small_database).bundle, IMAGE)
    check_implied(Captured(opens_a_small_database).bundle, IMAGE, brought={"sqlalchemy"})


def by_its_ending(path):
    if path.endswith(".xlsx"):
        return pd.read_excel(path)
    return pd.read_csv(path)


def after_another_way(path):
    if path.endswith(".csv"):
        return pd.read_csv(path)
    return pd.read_excel(path)


def where_it_is_asked_for(path, sheet=False):
    return pd.read_excel(path) if sheet else pd.read_csv(path)


def by_a_function_that_may_be_called(path):
    if path.endswith(".xlsx"):
        return read_sheet(path)
    return pd.read_csv(path)


def read_sheet(path):
    return pd.read_excel(path)


def one_by_one(path):
    for each in [path]:
        if each.endswith(".csv"):
            continue
        pd.read_excel(each)


def as_far_as_it_can_be_read(path):
    try:
        return pd.read_excel(path)
    except ValueError:
        return None


def has_it_called_by_another(path):
    return list(map(pd.read_excel, [path]))


def calls_nothing_that_reads(path):
    def later():
        return pd.read_excel(path)

    return 3


@pytest.mark.parametrize(
    "fn",
    [
        has_it_called_by_another,
        calls_nothing_that_reads,
        by_its_ending,
        after_another_way,
        where_it_is_asked_for,
        by_a_function_that_may_be_called,
        one_by_one,
        as_far_as_it_can_be_read,
    ],
)
def test_what_a_run_may_not_get_to_is_said_once_and_not_refused(fn, capsys):
    check_implied(Captured(fn).bundle, IMAGE)
    (line,) = capsys.readouterr().err.splitlines()
    assert "pandas.read_excel loads openpyxl (or xlrd, python_calamine, pyxlsb, odf), which" in line
    assert line.endswith('A run that gets there fails: have it brought along with @udf(packages=["openpyxl"]).')


def in_a_loop(path):
    if not path:
        raise ValueError(path)
    return [read_sheet(each) for each in [path]]


def test_what_every_run_gets_to_is_refused():
    with pytest.raises(CaptureError, match=r"pandas\.read_excel loads openpyxl"):
        check_implied(Captured(in_a_loop).bundle, IMAGE)


def test_any_package_that_brings_a_module_along_will_do():
    for package in ("opencv-python", "opencv-contrib-python-headless"):
        assert not_brought(["cv2"], {package: "4.0"}) == []
    assert not_brought(["cv2"], {"opencv": "4.0"}) == ["cv2"]


# What the inputs say.


def reads(path, base="s3://bucket", name="a.csv"):
    return pd.read_csv(path), pd.read_json(f"{base}/a.json")


def may_read(path):
    return pd.read_csv(path) if "://" in path else None


@pytest.mark.parametrize(
    ("own", "constants", "said"),
    [
        ('{"path": "gs://b/a.csv"}', "", "pandas.read_csv of gs:// loads gcsfs,"),
        ('{"path": "a.csv.zst"}', '{"base": "."}', "pandas.read_csv of .zst loads zstandard,"),
        ('{"path": "a.csv"}', '{"base": "abfs://b"}', "pandas.read_json of abfs:// loads adlfs,"),
        ('{"path": "a.csv"}', "", "pandas.read_json of s3:// loads s3fs,"),
    ],
)
def test_an_address_among_the_inputs_is_refused_by_its_run(own, constants, said):
    inputs = ImpliedByInputs(Captured(reads).bundle, IMAGE, (), {"base": "s3://bucket"})
    with pytest.raises(CaptureError) as caught:
        inputs.check(3, own, constants)
    assert said in str(caught.value)
    assert "Run 3 has " in str(caught.value)
    module = said.split(" loads ")[1].rstrip(",")
    ImpliedByInputs(Captured(reads).bundle, IMAGE, {module}, {"base": "."}).check(3, own, constants)


def test_of_inputs_nothing_is_said_where_nobody_can_tell():
    inputs = ImpliedByInputs(Captured(reads).bundle, IMAGE, (), {})
    inputs.check(0, '{"path": "https://host/a.csv"}', '{"base": "/tmp"}')
    inputs.check(0, '{"path": 3, "base": null}', "")
    ImpliedByInputs(Captured(may_read).bundle, IMAGE, (), {}).check(0, '{"path": "gs://b/a.csv"}', "")
    assert not ImpliedByInputs(Captured(opens_zarr_in_s3).bundle, IMAGE, (), {})


def test_fsspecs_own_list_says_the_same_of_its_protocols():
    """By its class, or, where that is fsspec's, by the words of its error."""
    from fsspec.registry import known_implementations

    for protocol, modules in PROTOCOLS.items():
        told = known_implementations.get(protocol)
        if told is None:
            assert protocol == "abfss"  # which adlfs registers itself
            continue
        owner, said = told["class"].partition(".")[0], told.get("err", "").lower()
        known_as = {package_of(module) for module in modules} | set(modules)
        assert owner in modules or any(name.lower().replace("_", "-") in said.replace("_", "-") for name in known_as)
    lacking = {
        one for one, told in known_implementations.items() if not told["class"].startswith(("fsspec.", "pyscript"))
    }
    assert lacking - set(PROTOCOLS) <= {"asynclocal", "tosfs"}


# Modules that several packages share.


def takes_a_part(path):
    import odc.geo.geobox

    return odc.geo.geobox


def takes_another_part(path):
    from odc import stac

    return stac


def takes_one_of_many(path):
    from google.cloud import storage

    return storage


def test_a_part_of_a_shared_module_is_looked_for_by_its_own_package(capsys):
    """None of them is installed here, where a package of the image would say which modules it brings along."""
    assert not_brought(["odc"], {"odc-geo": "0.5"}) == []
    assert not_brought(["odc"], {"odcgeo": "0.5"}) == ["odc"]
    described = IMAGE._replace(packages={**IMAGE.packages, "odc-geo": "0.5", "google-auth": "2.0"})
    check_implied(Captured(takes_a_part).bundle, described)
    with pytest.raises(CaptureError, match="the import loads odc-stac,") as caught:
        check_implied(Captured(takes_another_part).bundle, described)
    assert 'packages=["odc-stac"]' in caught.value.next_step
    check_implied(Captured(takes_another_part).bundle, described, brought={"odc"})
    assert capsys.readouterr().err == ""
    check_implied(Captured(takes_one_of_many).bundle, described)
    assert "the import loads google-cloud (or google-cloud-storage), which" in capsys.readouterr().err


# What a run does not get to for all that its text has, and what another takes the place of: each is run without.


def read_tables(path):
    return pd.read_hdf(path)


def read_text(path):
    return pd.read_csv(path)


READERS = {".h5": read_tables, ".csv": read_text}


class Report:
    def __init__(self, path):
        self.frame = read_text(path)

    def save(self):
        self.frame.to_hdf("a.h5", key="x")

    def rows(self):
        return len(self.frame)


class Summary(Report):
    def save(self):
        return self.frame.to_csv()


def goes_on_without(path):
    try:
        return read_tables(path)
    except ImportError:
        return None


def looks_up_a_lambda(path):
    return {".h5": lambda each: pd.read_hdf(f"{each}"), ".csv": lambda each: pd.read_csv(f"{each}")}[".csv"](path)


def looks_up_a_function(path):
    return READERS[".csv"](path)


def hands_a_function_on(path):
    later = [read_tables]
    return len(later)


def calls_one_that_is_looked_up(path):
    def both(each):
        return read_tables(each)

    return {"both": both, "text": read_text}["text"](path)


def has_a_class_of_many_methods(path):
    np.save("a.npy", np.ones(2))
    return Report(path).rows()


def has_a_method_of_its_own(path):
    return Summary(path).save()


def is_given_nothing_more(path, more=()):
    found = []
    while found:
        pd.read_hdf(found.pop())
    return [pd.read_hdf(each) for each in more] + [pd.read_hdf(each) for each in found]


def says_what_opens_an_address(path):
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    fsspec.register_implementation("oss", MemoryFileSystem, clobber=True)
    pd.DataFrame({"x": [1]}).to_csv("oss://a.csv")
    return pd.read_csv("oss://a.csv")


def has_a_method_by_an_assignment(path):
    class Mine:
        to_hdf = staticmethod(pd.DataFrame)

    return Mine.to_hdf()


@pytest.mark.parametrize(
    "fn",
    [
        goes_on_without,
        looks_up_a_lambda,
        looks_up_a_function,
        hands_a_function_on,
        calls_one_that_is_looked_up,
        has_a_class_of_many_methods,
        has_a_method_of_its_own,
        is_given_nothing_more,
        says_what_opens_an_address,
        has_a_method_by_an_assignment,
    ],
)
def test_a_function_that_runs_without_is_not_refused(fn, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x\n1\n")
    check_implied(Captured(fn).bundle, IMAGE)
    for module in ("tables", "ossfs"):
        monkeypatch.setitem(sys.modules, module, None)
    fn("a.csv")


def writes_by_duckdb(path):
    import duckdb

    connection = duckdb.connect()
    connection.sql("SELECT 1").to_csv("s3://bucket/a.csv")
    return pd.DataFrame()


def opens_with_pymysql(path):
    import pymysql
    import sqlalchemy

    pymysql.install_as_MySQLdb()
    return sqlalchemy.create_engine("mysql://host/a")


def writes_an_open_document(path):
    with pd.ExcelWriter("a.ods", engine="odf") as sheets:
        pd.DataFrame({"x": [1]}).to_excel(sheets)


def opens_a_server(path):
    return xr.open_dataset("https://host/a.nc")


def draws_in_a_window_if_it_can(path):
    import matplotlib

    matplotlib.use("QtAgg", force=False)


@pytest.mark.parametrize(
    ("fn", "package"),
    [
        (writes_by_duckdb, "duckdb"),
        (opens_with_pymysql, "pymysql"),
        (writes_an_open_document, "odfpy"),
        (opens_a_server, "pydap"),
        (draws_in_a_window_if_it_can, "matplotlib"),
    ],
)
def test_what_another_package_does_as_well_is_not_refused(fn, package, capsys):
    check_implied(Captured(fn).bundle, IMAGE._replace(packages={**IMAGE.packages, package: "1.0"}))
    assert capsys.readouterr().err == ""
