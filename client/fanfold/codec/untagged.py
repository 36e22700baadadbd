"""Tagged JSON read back: every object whose one key starts with `$` becomes the value that it stands for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fanfold.codec import registry
from fanfold.codec.encoded import damaged
from fanfold.errors import CodecError

_loads_plain = json.JSONDecoder().decode

GetPart = Callable[[Any], Any]
Decode = Callable[[str, bytes], Any]


def read(text: str, get_part: GetPart, decode: Decode) -> Any:
    """The value that `write` wrote.

    `get_part` is given what `put_part` returned, less its tag, and returns its bytes; `decode(codec, data)` reads them.
    """
    try:
        if '{"$' not in text:
            return _loads_plain(text)
        return json.loads(text, object_hook=_Untagger(get_part, decode).value)
    except (CodecError, OSError):
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise damaged("json/1", error) from error


class _Untagger:
    """Turns tags back into values; the decoder hands it the innermost objects first."""

    __slots__ = ("_decode", "_get_part")

    def __init__(self, get_part: GetPart, decode: Decode) -> None:
        self._get_part = get_part
        self._decode = decode

    def value(self, found: dict[str, Any]) -> Any:
        if len(found) != 1:
            return found
        ((tag, payload),) = found.items()
        if tag[:1] != "$":
            return found
        if tag in ("$blob", "$part"):
            codec, reference = payload
            return self._decode(codec, self._get_part(reference))
        if tag == "$inline":
            codec, data = payload
            return self._decode(codec, data)
        return _from_tag(tag, payload)


def _from_tag(tag: str, payload: Any) -> Any:
    read_tag = registry.module_for_tag(tag).UNTAG.get(tag)
    if read_tag is None:
        raise CodecError(
            f"The tag {tag} is not known to this version.", next_step="A newer Fanfold wrote it: update this one."
        )
    return read_tag(payload)
