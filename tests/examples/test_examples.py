"""Each program of examples/ gives what a plain loop gives: here, and unchanged in the local cloud by s3:// paths."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from examples.__main__ import NAMES

#: rasterio's own use of affine.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Sizes with which each takes a second or two.
SMALL: dict[str, dict[str, Any]] = {
    "backtest": {"years": 2},
    "climatology": {"years": 1, "size": 20},
    "embeddings": {"images": 100, "batch": 50},
    "hexagons": {"files": 3, "rows": 200},
    "mosaic": {"size": 256},
    "nightly": {"nights": 2},
    "points_in_polygons": {"points": 2000, "tiles": 2},
    "scraping": {"pages": 8},
    "simulations": {"seeds": 200},
    "sweep": {"rows": 200, "rates": 1},
    "two_stages": {"weeks": 2},
    "zonal_statistics": {"count": 100, "size": 200},
}
#: What a plain loop does not do, and an example needs: to try again.
IN_A_LOOP: dict[str, dict[str, Any]] = {"scraping": {"refusing": False}}
WITH_PATHS_IN_S3 = (
    "mosaic",
    "two_stages",
    *(
        pytest.param(name, marks=pytest.mark.long)
        for name in ("climatology", "hexagons", "points_in_polygons", "simulations", "sweep", "zonal_statistics")
    ),
)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch):
    """Each worker imports what its example does, and no more is seen with two."""
    monkeypatch.setattr("fanfold.engines.local.engine.usable_cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


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


def test_each_example_has_its_sizes_its_place_in_the_gallery_and_its_picture():
    names = sorted(path.stem for path in EXAMPLES.glob("[a-z]*.py"))
    assert sorted(SMALL) == names == sorted(NAMES)
    gallery = (EXAMPLES.parent / "docs" / "gallery.md").read_text(encoding="utf-8")
    for name in names:
        assert f"[{name}.py](../examples/{name}.py)" in gallery
        picture = f"images/example-{name.replace('_', '-')}.png"
        assert f"]({picture})" in gallery
        assert (EXAMPLES.parent / "docs" / picture).exists()


@pytest.mark.parametrize("name", SMALL)
def test_an_example_gives_what_a_loop_gives(name, tmp_path, capsys):
    example = import_module(f"examples.{name}")
    result = example.main(str(tmp_path), **SMALL[name])
    if name == "nightly":  # it computes what is new or was corrected
        assert capsys.readouterr().err.splitlines() == ["7 of 7 days computed", "8 of 14 days computed"]
        assert list(result["readings"]) == [48] * 13 + [40]
    found = as_plain(result)
    assert found
    assert found == as_plain(example.main(str(tmp_path), **SMALL[name], **IN_A_LOOP.get(name, {}), fan_out=plain))
    example.draw(result, str(tmp_path), str(tmp_path / "picture.png"))
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


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
