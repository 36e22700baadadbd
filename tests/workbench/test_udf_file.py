"""A UDF's file as the editor has it: read, written, and looked at while either goes on."""

from __future__ import annotations

import threading
from pathlib import Path

from fanfold.workbench.editor.udf_source import UdfFile


def test_a_look_at_a_file_that_is_being_saved_does_not_see_half_of_it(tmp_path, monkeypatch):
    (tmp_path / "udf.py").write_text("x = 1\n")
    file = UdfFile(tmp_path, "udf.py")
    is_empty, goes_on, write = threading.Event(), threading.Event(), Path.write_text

    def slowly(path, text, **how):
        write(path, "", **how)
        is_empty.set()
        goes_on.wait(60)
        return write(path, text, **how)

    monkeypatch.setattr(Path, "write_text", slowly)
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
