"""What libraries remember of files far away is forgotten between jobs, and where a file has changed."""

from __future__ import annotations

import pytest

from fanfold.codec.paths import NamedPath
from fanfold.execution.worker import far_files

fsspec = pytest.importorskip("fsspec")


class Remembering(fsspec.AbstractFileSystem):
    """A service whose listings are kept, as those of S3 are."""

    protocol = "remembering"
    cachable = True
    forgotten = 0

    def invalidate_cache(self, path=None):
        self.forgotten += 1


class Failing(Remembering):
    def invalidate_cache(self, path=None):
        raise RuntimeError("it cannot")


@pytest.fixture
def system(monkeypatch):
    monkeypatch.setattr(far_files, "_known", {})
    made = Failing(), Remembering()
    yield made[1]
    for each in made:
        type(each).clear_instance_cache()


def test_listings_are_read_again(system):
    far_files.forget()
    assert system.forgotten == 1


def test_what_has_not_changed_is_kept_within_a_job(system):
    scene, here = NamedPath("s3://bucket/scene.tif"), NamedPath("/data/scene.tif")
    for stamp, forgotten in (("one", 0), ("one", 0), ("two", 1), ("two", 1)):
        far_files.forget_if_changed({scene: stamp, here: f"{stamp} {forgotten}"})
        assert system.forgotten == forgotten


def test_each_gdal_of_this_process_is_found():
    pytest.importorskip("rasterio")
    pytest.importorskip("pyogrio")
    assert len(far_files._clear_functions(("pyogrio", "rasterio"))) == 2
