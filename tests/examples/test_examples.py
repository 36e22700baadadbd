"""Each program of examples/ gives what a plain loop gives: here, and unchanged in the local cloud by s3:// paths."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

#: rasterio's own use of affine.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Sizes with which each takes a second or two.
SMALL: dict[str, dict[str, Any]] = {
    "climatology": {"years": 1, "size": 20},
    "hexagons": {"files": 3, "rows": 200},
    "mosaic": {"size": 256},
    "points_in_polygons": {"points": 2000, "tiles": 2},
    "simulations": {"seeds": 200},
    "sweep": {"rows": 200, "rates": 1},
    "two_stages": {"weeks": 2},
    "zonal_statistics": {"count": 100, "size": 200},
}
WITH_PATHS_IN_S3 = ("climatology", "hexagons", "mosaic", "two_stages")


def plain(udf: Any, inputs: Any, **constants: Any) -> list[Any]:
    """All results, one after the other in this process."""
    with threadpool_limits(1):  # as in a worker
        return [
            udf.local(**one, **constants) if isinstance(one, dict) else udf.local(one, **constants) for one in inputs
        ]


def as_plain(value: Any) -> Any:
    """What can be compared by ==."""
    if hasattr(value, "to_pydict"):
        return value.to_pydict()
    return value.to_dict() if hasattr(value, "to_dict") else value


def test_each_example_has_its_sizes():
    assert sorted(SMALL) == sorted(path.stem for path in EXAMPLES.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", SMALL)
def test_an_example_gives_what_a_loop_gives(name, tmp_path):
    example = import_module(f"examples.{name}")
    found = as_plain(example.main(str(tmp_path), **SMALL[name]))
    assert found
    assert found == as_plain(example.main(str(tmp_path), **SMALL[name], fan_out=plain))


@pytest.mark.cloud
@pytest.mark.parametrize("name", WITH_PATHS_IN_S3)
def test_an_example_runs_unchanged_in_the_local_cloud_by_s3_paths(name, on_cloud, monkeypatch, tmp_path):
    from fanfold.settings import configure

    monkeypatch.setenv("FANFOLD_ENGINE", "aws")
    configure(engine="aws")
    buckets = on_cloud.client("s3").list_buckets()["Buckets"]
    bucket = next(one["Name"] for one in buckets if "log" not in one["Name"])
    example = import_module(f"examples.{name}")
    found = as_plain(example.main(f"s3://{bucket}/data/{name}", **SMALL[name]))
    assert found == as_plain(example.main(str(tmp_path), **SMALL[name], fan_out=plain))


def test_an_example_is_a_program(tmp_path):
    import subprocess

    done = subprocess.run(
        [sys.executable, EXAMPLES / "two_stages.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "from_day" in done.stdout
    assert (tmp_path / "two-stages" / "day-027.parquet").exists()
