"""Column labels, categories and index levels as JSON, and pandas' several kinds of text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def labels_tree(labels: Any) -> Any:
    """Column labels, categories or levels as JSON; unusual ones stay an Index, which goes as a part of its own."""
    if type(labels) is pd.RangeIndex:
        return ["range", labels.start, labels.stop, labels.step, labels.name]
    if type(labels) is pd.Index:
        if isinstance(labels.dtype, pd.StringDtype):
            return ["list", ["string", *string_note(labels.dtype)], labels.tolist(), labels.name]
        if isinstance(labels.dtype, np.dtype):
            return ["list", labels.dtype.str, labels.tolist(), labels.name]
    return labels


def labels_from(tree: Any) -> Any:
    """The Index that `labels_tree` described."""
    if isinstance(tree, pd.Index):
        return tree
    kind, *rest = tree
    if kind == "range":
        start, stop, step, name = rest
        return pd.RangeIndex(start, stop, step, name=name)
    dtype, values, name = rest
    kept = string_dtype(*dtype[1:]) if isinstance(dtype, list) else np.dtype(dtype)
    return pd.Index(values, dtype=kept, name=name, tupleize_cols=False)


def string_note(dtype: Any) -> tuple[str, str]:
    """What tells one of pandas' string dtypes from another: where it is stored and what is missing."""
    return dtype.storage, "NA" if dtype.na_value is pd.NA else "nan"


def string_dtype(storage: str, missing: str) -> Any:
    """The string dtype that `string_note` described."""
    # pandas before 2.3 knows only pd.NA, and takes no second argument.
    return pd.StringDtype(storage) if missing == "NA" else pd.StringDtype(storage, na_value=np.nan)
