"""A UDF's file as the editor has it: read, written, and looked at while either goes on."""

from __future__ import annotations

import resource
import threading
from contextlib import contextmanager

import pytest

from fanfold.errors import InputError
from fanfold.workbench.editor import udf_source
from fanfold.workbench.editor.udf_source import UdfFile, new_file


def test_a_look_at_a_file_that_is_being_saved_does_not_see_half_of_it(tmp_path, monkeypatch):
    (tmp_path / "udf.py").write_text("x = 1\n")
    file = UdfFile(tmp_path, "udf.py")
    is_empty, goes_on, write = threading.Event(), threading.Event(), udf_source._write_over

    def slowly(opened, data):
        write(opened, b"")
        is_empty.set()
        goes_on.wait(60)
        write(opened, data)

    monkeypatch.setattr(udf_source, "_write_over", slowly)
    seen = []
    saves = threading.Thread(target=file.save, args=("x = 2\n",))
    looks = threading.Thread(target=lambda: seen.append(file.changed_on_disk()))
    saves.start()
    assert is_empty.wait(60)
    looks.start()
    looks.join(0.2)
    goes_on.set()
    saves.join(60)
    looks.join(60)
    assert seen == [None]


@contextmanager
def no_file_over(size):
    """No file of this process grows beyond that: as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "udf.py").write_text("x = 1\n")
    return UdfFile(tmp_path, "udf.py")


def test_a_text_that_cannot_be_written_leaves_the_file_as_it_was_and_says_why(file):
    with pytest.raises(InputError, match="half of a character in line 2"):
        file.save("x = 2\ny = '\ud800'\n")
    with no_file_over(10_000), pytest.raises(InputError, match=r"udf\.py cannot be saved: File too large"):
        file.save("x = 2\n" * 10_000)
    assert file.path.read_text() == "x = 1\n"
    assert file.save("x = 2\n")
    assert file.path.read_text() == "x = 2\n"


def test_a_file_that_is_gone_meanwhile_is_told_and_what_it_is_a_link_to_is_written(file, tmp_path):
    real = tmp_path / "real.txt"
    file.path.rename(real)
    file.path.symlink_to(real)
    file.save("x = 2\n")
    assert file.path.is_symlink()
    assert real.read_text() == "x = 2\n"
    real.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        file.save("x = 3\n")


def test_a_file_that_was_removed_is_written_anew_as_its_lines_ended_and_never_over_another(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "udf.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    file = UdfFile(tmp_path, "deep/udf.py")
    assert not file.is_gone()
    file.path.unlink()
    folder.rmdir()
    assert file.is_gone()
    file.write_anew("x = 3\ny = 2\n")
    assert file.path.read_bytes() == b"x = 3\r\ny = 2\r\n"
    assert file.changed_on_disk() is None
    with pytest.raises(InputError, match="cannot be written anew: File exists"):
        file.write_anew("x = 4\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbfx = 1\r\ny = 2\r\n", b"\xef\xbb\xbfx = 2\r\ny = 2\r\n"),  # as Windows writes it
        (b"x = 1\r\ny = 2\r\n", b"x = 2\r\ny = 2\r\n"),
        (b"x = 1\ny = 2\r\n", b"x = 2\ny = 2\n"),  # each line in its own way: the file gets one
    ],
)
def test_a_saved_file_begins_and_its_lines_end_as_before(tmp_path, before, after):
    path = tmp_path / "udf.py"
    path.write_bytes(before)
    file = UdfFile(tmp_path, "udf.py")
    assert file.text == "x = 1\ny = 2\n"
    assert file.save("x = 2\ny = 2\n")
    assert path.read_bytes() == after
    assert UdfFile(tmp_path, "udf.py").text == file.text
    assert file.changed_on_disk() is None


def test_a_new_file_for_which_the_disk_has_no_room_is_not_left_half(tmp_path):
    with (
        no_file_over(10),
        pytest.raises(InputError, match=r"flights\.py cannot be made: File too large\.\n  Next: look at the folder"),
    ):
        new_file(tmp_path, "flights")
    assert not list(tmp_path.iterdir())
    assert new_file(tmp_path, "flights") == "flights.py"
