"""PIL images as PNG, with what their `info` says in a text chunk of that file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image, PngImagePlugin

from fanfold.codec.encoded import Encoded
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "png/1"

#: What PNG keeps bit for bit.
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})

#: PIL's own limit as it is installed, for what a reader may have changed is not known here.
_MOST_PIXELS = 178_956_970

#: The text chunk in which `info` stands, and of it what PNG has a chunk of its own for, which may be large.
_NOTE = "fanfold:info"
_OF_PNG = frozenset({"icc_profile"})

UNTAG: dict[str, Callable[[Any], Any]] = {}


def pack(value: Any) -> Encoded | None:
    """The encoding of an image's pixels, whatever file it was read from."""
    if not isinstance(value, Image.Image):
        return None
    if value.mode not in _MODES:
        raise CodecError(
            f"an image of mode {value.mode} has no exact PNG.",
            next_step='return `image.convert("RGB")`, or its numbers as an array: `numpy.asarray(image)`.',
        )
    if value.width * value.height > _MOST_PIXELS:
        raise CodecError(
            f"an image of {value.width * value.height:,} pixels; PIL reads no more than {_MOST_PIXELS:,} from a file.",
            next_step="return its numbers as an array, `numpy.asarray(image)`, or the path of a file that you write.",
        )
    sink = io.BytesIO()
    try:
        value.save(sink, "PNG", compress_level=1, pnginfo=_noted(value))
        _check_readable(sink.getvalue())
    except (OSError, TypeError, ValueError) as error:  # no pixels, or something in `image.info`
        raise CodecError(
            f"an image that PIL does not write as PNG, or does not read back: {error}.",
            next_step='return it without what its file told of it, `image.info.pop("icc_profile", None)`, or its'
            " numbers as an array: `numpy.asarray(image)`.",
        ) from error
    return Encoded(CODEC, sink.getvalue())


def _noted(image: Any) -> PngImagePlugin.PngInfo | None:
    """What an image says of itself besides its pixels; None where it says nothing."""
    from fanfold.codec import encode_json

    said = {}
    for key, item in image.info.items():
        try:
            text = encode_json([key, None if key in _OF_PNG else item])
        except CodecError:  # an object of PIL's own: a file's way of writing a number
            continue
        if '"$graph"' not in text:
            said[key] = None if key in _OF_PNG else item
    if not said and image.format is None:
        return None
    note = PngImagePlugin.PngInfo()
    note.add_text(_NOTE, encode_json({"info": list(said.items()), "format": image.format}))
    return note


def _check_readable(data: bytes) -> None:
    """Raises an error of PIL's where it refuses what it has written: it reads no colour profile of more than 1 MB."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        Image.open(io.BytesIO(data), formats=["PNG"]).close()  # reads what comes before the pixels


def tag(value: Any, tagger: Tagger) -> Any:  # noqa: ARG001
    """PIL's other classes have no tag."""
    return None


def unpack(_: str, data: bytes) -> Any:
    """The image that `pack` encoded, as a plain `PIL.Image.Image`, whatever class its file's was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # it was small enough to be written
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return _with_note(image.copy())


def _with_note(image: Any) -> Any:
    """An image with the `info` and the format that it had."""
    from fanfold.codec import decode_json

    if _NOTE in image.info:
        note = decode_json(image.info[_NOTE])
        image.info = {key: image.info.get(key) if key in _OF_PNG else item for key, item in note["info"]}
        image.format = note["format"]
    return image
