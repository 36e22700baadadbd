"""What is done once for a bundle, before its first run: compiling its texts, decoding the values that cannot change.

A worker imports this on its way to its first run, so nothing costly may be imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from fanfold.source.bundle import Bundle, SourceFile

GetBlob = Callable[[str], bytes]

Values = tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]
NO_VALUES: Values = ({}, [])

#: Decoded once and shared by all runs: nothing can change them.
_IMMUTABLE = (str, int, float, complex, bool, bytes, type(None))


def compiled(source: SourceFile) -> CodeType:
    """The code of a text. Raises `CaptureError` where this Python cannot read it."""
    flags = 0
    if source.futures:
        import __future__

        for name in source.futures:
            flags |= getattr(__future__, name).compiler_flag
    try:
        code: CodeType = compile(source.text, source.path, "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        from fanfold.errors import CaptureError

        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise CaptureError(
            f"{source.path}:{error.lineno}: Python {version}, which runs this, cannot read it ({error.msg}).",
            next_step=f"Write it the way Python {version} reads it, or run it with a newer Python.",
        ) from error
    return code


def names_global(code: CodeType, name: str) -> bool:
    """Whether the code, or any within it, reads the global `name`."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return name in code.co_names or any(names_global(each, name) for each in inner)


def decoded(bundle: Bundle, get_blob: GetBlob | None) -> dict[str, Values]:
    """By module, "" for the entry's: the values to share between runs, and for the others how to make each afresh.

    Raises `CodecError`.
    """
    if not bundle.values:
        return {}
    from fanfold.codec import decode_json

    fetched = dict(bundle.blobs)

    def blob(name: str) -> bytes:
        if name not in fetched:
            if get_blob is None:
                raise _no_blob(bundle, name)
            fetched[name] = get_blob(name)
        return fetched[name]

    found: dict[str, Values] = {}
    for key, text in bundle.values.items():
        module, _, name = key.rpartition(":")
        constants, decoders = found.setdefault(module, ({}, []))
        value = decode_json(text, get_blob=blob)
        if isinstance(value, _IMMUTABLE):
            constants[name] = value
        else:
            decoders.append((name, lambda text=text: decode_json(text, get_blob=blob)))  # type: ignore[misc]
    return found


def _no_blob(bundle: Bundle, name: str) -> Exception:
    from fanfold.errors import CaptureError

    return CaptureError(
        f"A global of {bundle.entry!r} is kept apart from its bundle ({name[:12]}), and nothing was said of where.",
        next_step="Pass `get_blob=` to `load`, the counterpart of the `put_blob=` that `capture` was given.",
    )
