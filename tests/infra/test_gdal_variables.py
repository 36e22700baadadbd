"""The image sets what docs/rasters.md says of GDAL, and its caches leave room for a run."""

from __future__ import annotations

import re

from tests.cloud.deploy import ROOT
from tests.cloud.server import image_variables


def test_the_page_tells_of_every_variable_that_the_image_sets():
    rows = re.findall(r"^\| (`[A-Z].*?) \| (.*?) \|", (ROOT / "docs" / "rasters.md").read_text(), re.M)
    told = {}
    for names, values in rows:
        told.update(zip(re.findall(r"\w+", names), re.sub(r"[`,]", "", values).split(), strict=False))
    assert told == image_variables()


def test_a_cog_can_be_written_to_s3_and_no_folder_is_listed_for_reading_one():
    set_there = image_variables()
    assert set_there["CPL_VSIL_USE_TEMP_FILE_FOR_RANDOM_WRITE"] == "YES"
    assert set_there["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"
    assert int(set_there["GDAL_CACHEMAX"]) + int(set_there["CPL_VSIL_CURL_CACHE_SIZE"]) / 2**20 < 4096 / 4
