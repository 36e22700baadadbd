"""Rows of geospatial files as inputs: what a feature says of itself, and its geometry as shapely has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fanfold.codec.s3_stamps import s3_file
from fanfold.errors import InputError, MissingPackage
from fanfold.inputs.reading import read

#: Features that are in memory at once.
_AT_ONCE = 10_000


def features(file: str) -> Iterator[Any]:
    """The features of a GeoPackage or of GeoJSON, of its one layer. Raises `InputError` and `MissingPackage`."""
    try:
        import geopandas  # noqa: F401 - pyogrio makes its frames
        import pyogrio
        from pyogrio.errors import DataSourceError
    except ImportError as error:
        raise _needs_geo(file) from error
    source = s3_file(file).read() if file.startswith("s3://") else file
    start, frame, layer = 0, None, None
    while frame is None or len(frame) == _AT_ONCE:
        try:
            layer = layer or _only_layer(file, pyogrio.list_layers(source).tolist())
            frame = pyogrio.read_dataframe(source, layer=layer, skip_features=start, max_features=_AT_ONCE)
        except DataSourceError as error:
            raise InputError(
                f"{file} cannot be read: {str(error).rstrip('.')}.", next_step="look at the file."
            ) from error
        yield from read(frame)
        start += _AT_ONCE


def _only_layer(file: str, layers: list[tuple[str, str | None]]) -> str | None:
    """The layer that has shapes, beside which there may be tables (QGIS keeps its styles in one); None where none is.

    Raises `InputError` where there are several: nobody has said which.
    """
    names = [name for name, shape in layers if shape is not None] or [name for name, _ in layers]
    if len(names) > 1:
        raise InputError(
            f"{file} has {len(names)} layers: {', '.join(names)}.",
            next_step=f"save one of them to a file of its own, or pass geopandas.read_file(..., layer={names[0]!r}).",
        )
    return names[0] if names else None


def geometry_columns(file: str, metadata: dict[bytes, bytes] | None) -> tuple[str, ...]:
    """The columns of a Parquet file that hold geometries, by what GeoParquet says of it: none where it is none.

    https://geoparquet.org/releases/v1.1.0
    """
    try:
        said = json.loads((metadata or {}).get(b"geo", b'{"columns": {}}'))["columns"]
        encodings = {str(name): str(column["encoding"]) for name, column in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file} does not say which of its columns are geometries.", next_step="write it anew."
        ) from error
    other = next((name for name, encoding in encodings.items() if encoding != "WKB"), None)
    if other is not None:
        raise InputError(
            f"{file}: the geometries of {other!r} are written as {encodings[other]}.",
            next_step='write it with `frame.to_parquet(path, geometry_encoding="WKB")`.',
        )
    return tuple(encodings)


def with_geometries(file: str, rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows, with a geometry in place of its bytes. Raises `MissingPackage`."""
    try:
        import shapely
    except ImportError as error:
        raise _needs_geo(file) from error
    for name in names:
        for row, geometry in zip(rows, shapely.from_wkb([row.get(name) for row in rows]), strict=True):
            if name in row:
                row[name] = geometry
    return rows


def _needs_geo(file: str) -> MissingPackage:
    return MissingPackage(
        f"{file} is read with geopandas, which is not installed.", next_step="pip install 'fanfold[geo]'"
    )
