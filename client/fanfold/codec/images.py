"""PIL images as PNG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image

from fanfold.codec.encoded import Encoded
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.tagged import Tagger

CODEC = "png/1"

#: What PNG keeps bit for bit.
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})

UNTAG: dict[str, Callable[[Any], Any]] = {}


def pack(value: Any) -> Encoded | None:
    """The encoding of an image's pixels, whatever file it was read from."""
    if not isinstance(value, Image.Image):
        return None
    if value.mode not in _MODES:
        raise CodecError(
            f"an image of mode {value.mode} has no exact PNG.",
            next_step='Return `image.convert("RGB")`, or its numbers as an array: `numpy.asarray(image)`.',
        )
    sink = io.BytesIO()
    value.save(sink, "PNG", compress_level=1)
    return Encoded(CODEC, sink.getvalue())


def tag(value: Any, tagger: Tagger) -> Any:  # noqa: ARG001
    """PIL's other classes have no tag."""
    return None


def unpack(_: str, data: bytes) -> Any:
    """The image that `pack` encoded, as a plain `PIL.Image.Image`."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return image.copy()
