"""What code asks its own module, and the files beside it, in a run that has of the module only what the UDF uses."""

from __future__ import annotations

import importlib

import pytest

from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived

READS = {
    "by another name": ("import importlib.resources as ir", 'ir.files("pack.sub")'),
    "of its own": ("from importlib import resources", "resources.files(__package__)"),
}


@pytest.mark.parametrize(("imports", "folder"), READS.values(), ids=READS)
def test_files_are_read_whatever_the_module_is_called(desk: Desk, imports: str, folder: str) -> None:
    desk.write("pack/__init__.py", "")
    desk.write("pack/sub/__init__.py", "")
    desk.write("pack/sub/table.csv", "a,11")
    desk.write("pack/sub/deep.py", f'{imports}\ndef main():\n    return {folder}.joinpath("table.csv").read_text()\n')
    importlib.invalidate_caches()
    bundle = capture(importlib.import_module("pack.sub.deep").main)
    (desk.root / "pack/sub/table.csv").unlink()
    assert arrived(bundle)() == "a,11"


def test_files_behind_a_link_to_a_folder_travel_and_links_that_go_round_have_an_end(desk: Desk) -> None:
    desk.write("tables/wide/table.csv", "a,11")
    desk.write("pack/__init__.py", "")
    (desk.root / "pack/data").symlink_to(desk.root / "tables")
    (desk.root / "tables/round").symlink_to(desk.root / "pack")
    (desk.root / "pack/itself").symlink_to("itself")
    body = 'return resources.files(__package__).joinpath("data/wide/table.csv").read_text()'
    desk.write("pack/deep.py", f"from importlib import resources\ndef main():\n    {body}\n")
    importlib.invalidate_caches()
    bundle = capture(importlib.import_module("pack.deep").main)
    (desk.root / "tables/wide/table.csv").unlink()
    assert arrived(bundle)() == "a,11"


def test_a_module_knows_its_spec(desk: Desk) -> None:
    desk.write("pack/__init__.py", "def main():\n    return __spec__.name, __spec__.parent, __path__ is not None\n")
    importlib.invalidate_caches()
    assert arrived(capture(importlib.import_module("pack").main))() == ("pack", "pack", True)
