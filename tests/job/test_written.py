"""What a person asks to have written is there whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import pytest

from fanfold.errors import InputError
from fanfold.job.written import write_page, written_whole


def write_file(place, *, broken_by=None):
    with written_whole(place) as half_written:
        half_written.write_text("half")
        if broken_by:
            raise broken_by


def write_folder(place):
    with written_whole(place) as half_written:
        half_written.mkdir()
        (half_written / "part").touch()


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_where_writing_is_broken_off(failure, tmp_path):
    place = tmp_path / "table.csv"
    place.write_text("before")
    with pytest.raises(failure):
        write_file(place, broken_by=failure)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_two_who_write_one_file_at_once_each_write_all_of_it(tmp_path):
    place = tmp_path / "table.csv"
    with written_whole(place) as first:
        first.write_text("first")
        with written_whole(place) as second:
            second.write_text("second")
        assert place.read_text() == "second"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["first"]


def test_a_folder_takes_the_place_of_an_empty_one_and_of_no_other(tmp_path):
    place = tmp_path / "bundle"
    place.mkdir()
    write_folder(place)
    with pytest.raises(InputError, match="bundle cannot be written: Directory not empty"):
        write_folder(place)
    assert [file.name for file in tmp_path.rglob("*")] == ["bundle", "part"]


def test_a_page_about_a_text_that_is_no_unicode_has_it_written_out(tmp_path):
    assert write_page(tmp_path / "page.html", "<p>\ud800 é</p>").read_bytes() == "<p>\\ud800 é</p>".encode()
