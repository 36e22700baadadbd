"""What georeferences a raster: affine transforms, coordinate reference systems, windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.codec.encoded import Encoded
    from fanfold.codec.values import Tagger


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """These are small."""
    return None


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag for `value`, or None where it is of no class known here."""
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}"
    write_tag = _WRITERS.get(kind)
    return None if write_tag is None else write_tag(value, tagger)


def _affine(value: Any, tagger: Tagger) -> Any:
    return {"$affine": tagger.items([getattr(value, name) for name in "abcdef"])}


def _window(value: Any, tagger: Tagger) -> Any:
    return {"$window": tagger.items([value.col_off, value.row_off, value.width, value.height])}


def _proj_crs(value: Any, tagger: Tagger) -> Any:
    return {"$crs": ["pyproj", tagger.tree(value.srs)]}  # what pyproj itself pickles a CRS by


def _raster_crs(value: Any, tagger: Tagger) -> Any:
    return {"$crs": ["rasterio", tagger.tree(value.to_wkt() if value else "")]}


def _transformer(value: Any, tagger: Tagger) -> Any:
    """A transformer between two systems; None for one of a pipeline, or for an area of interest."""
    maker = value._transformer_maker
    if type(maker).__name__ != "TransformerFromCRS" or maker.area_of_interest is not None:
        return None
    systems = [each.decode() if isinstance(each, bytes) else each for each in (maker.crs_from, maker.crs_to)]
    options = {name: getattr(maker, name) for name in _TRANSFORMER_OPTIONS if hasattr(maker, name)}
    return {"$transformer": [*systems, tagger.at("options", options)]}


_TRANSFORMER_OPTIONS = ("always_xy", "authority", "accuracy", "allow_ballpark", "force_over", "only_best")


_WRITERS: dict[str, Callable[[Any, Tagger], Any]] = {
    "affine.Affine": _affine,
    "rasterio.Window": _window,
    "rasterio.CRS": _raster_crs,
    "pyproj.CRS": _proj_crs,
    "pyproj.Transformer": _transformer,
}


def _read_affine(numbers: list[float]) -> Any:
    from affine import Affine

    return Affine(*numbers)


def _read_window(numbers: list[float]) -> Any:
    from rasterio.windows import Window

    return Window(*numbers)


def _read_crs(payload: list[str]) -> Any:
    package, text = payload
    if package == "pyproj":
        from pyproj import CRS

        return CRS(text)
    from rasterio.crs import CRS as RASTER_CRS

    return RASTER_CRS.from_wkt(text) if text else RASTER_CRS()


def _read_transformer(payload: list[Any]) -> Any:
    from pyproj import Transformer

    source, target, options = payload
    return Transformer.from_crs(source, target, **options)


UNTAG: dict[str, Callable[[Any], Any]] = {
    "$affine": _read_affine,
    "$window": _read_window,
    "$crs": _read_crs,
    "$transformer": _read_transformer,
}
