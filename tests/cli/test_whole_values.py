"""`run --json` prints all of a value, also of one whose text leaves most of it out."""

from __future__ import annotations

VALUES = """
import fanfold
import numpy as np
import pandas as pd

@fanfold.udf
def value(kind: str):
    frame = pd.DataFrame({"p": [1.5e-12, None], "x": [0.1234567890123456, 2]})
    labelled = pd.Series([3, 1], index=["b", "a"])
    several = {"array": np.arange(2000), "labelled": labelled, "set": {1}, "frames": [frame[["x"]]]}
    return {"array": np.arange(2000), "series": pd.Series(range(2000)), "frame": frame, "several": several}[kind]
"""


WHOLE = {
    "array": list(range(2000)),
    "series": list(range(2000)),
    "frame": [{"p": 1.5e-12, "x": 0.1234567890123456}, {"p": None, "x": 2.0}],
    "several": {
        "array": list(range(2000)),
        "labelled": {"b": 3, "a": 1},
        "set": [1],
        "frames": [[{"x": 0.1234567890123456}, {"x": 2.0}]],
    },
}


def test_json_has_all_of_a_value(here):
    here.udfs.write_text(VALUES)
    assert {kind: here.json("run", "squares.py", f"kind={kind}")["value"] for kind in WHOLE} == WHOLE
