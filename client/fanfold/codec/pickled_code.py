"""Results that a UDF has asked to be pickled.

Where they hold what no name leads to (lambdas, closures, local classes), its code goes as cloudpickle writes it, which
only the same Python reads; all that has a name still goes by it.
"""

from __future__ import annotations

import io
import pickle
import sys
from operator import attrgetter
from types import FunctionType
from typing import Any

from fanfold.codec import registry
from fanfold.codec.encoded import damaged
from fanfold.errors import CodecError


def pickled(value: Any, name: str) -> bytes:
    """The pickle of a value. Raises `CodecError` where it has none, and for a secret."""
    try:
        return _without_secrets(value, name) or pickle.dumps(value, protocol=5)
    except CodecError:
        raise
    except Exception as error:  # pickling runs the value's own code, which may raise anything
        if data := _pickled_with_code(value, name, error):
            return data
        raise CodecError(
            f"{name} is a {type(value).__qualname__}, which does not pickle: {error}.",
            next_step="return plain data, a frame or an array.",
        ) from error


def _pickled_with_code(value: Any, name: str, error: Exception) -> bytes:
    """The pickle of a value that holds a function or a class which no name leads to; empty for anything else."""
    if type(error) not in (AttributeError, pickle.PicklingError, TypeError):
        return b""
    try:
        return pickled_with_code(value, name)
    except CodecError:
        raise
    except Exception:  # noqa: BLE001 - as above
        return b""


def _without_secrets(value: Any, name: str) -> bytes:
    """The pickle of a value that may hold secrets, where their package is loaded. Raises `CodecError` where it does."""
    if "pydantic" not in sys.modules:
        return b""

    class WithoutSecrets(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if registry.is_secret(obj):
                from fanfold.codec.sealed import refuse_secret

                raise refuse_secret(f"A part of {name}")
            return NotImplemented

    file = io.BytesIO()
    WithoutSecrets(file, protocol=5).dump(value)
    return file.getvalue()


def unpickled(data: bytes, *, trusted: bool) -> Any:
    """The value of a pickle. Raises `CodecError` where its writer is not trusted, and where it cannot be read."""
    if not trusted:
        raise CodecError(
            "This value was written with pickle, and reading pickle runs code that the bytes bring along.",
            next_step="if you trust who wrote it, opt in: `job.results(allow_pickle=True)`, or FANFOLD_ALLOW_PICKLE=1.",
        )
    try:
        return pickle.loads(data)  # noqa: S301 - only with the caller's explicit opt-in
    except CodecError:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise damaged("pickle/1", error) from error
    except Exception as error:  # unpickling runs the value's own code, which may raise anything
        raise CodecError(
            f"This pickle does not load here, in Python {sys.version.split()[0]}: {type(error).__name__}: {error}.",
            next_step="read it with the Python and the versions of packages that wrote it; `job.verify()` says whether"
            " its bytes are whole.",
        ) from error


def pickled_with_code(value: Any, name: str) -> bytes:
    """The pickle of a value, the code in it too. Raises `CodecError` for a secret, and what pickling raises."""
    import cloudpickle

    class CodePickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            if registry.is_secret(obj):
                from fanfold.codec.sealed import refuse_secret

                raise refuse_secret(f"A part of {name}")
            if isinstance(obj, (io.IOBase, memoryview)):  # of which cloudpickle would send a copy
                raise TypeError(f"cannot pickle {type(obj).__qualname__!r} object")
            return NotImplemented if _has_a_name(obj) else super().reducer_override(obj)

    with io.BytesIO() as file:
        CodePickler(file, protocol=5).dump(value)
        return pickle.dumps(_OfThisPython(file.getvalue()), protocol=5)


class _OfThisPython:
    """Stands for bytes that say which Python has written them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> Any:
        return opened, (sys.version_info[:2], self._data)


def opened(version: tuple[int, int], data: bytes) -> Any:
    """What such bytes hold. Raises `CodecError` in another Python, which would not understand the code."""
    if sys.version_info[:2] != version:
        wrote = ".".join(map(str, version))
        raise CodecError(
            f"This result holds code that Python {wrote} has compiled; here is Python {sys.version.split()[0]}.",
            next_step=f"read it with Python {wrote}, or return functions that stand at the top level of a module.",
        )
    return pickle.loads(data)  # noqa: S301 - within what the reader has opted in for


def _has_a_name(obj: Any) -> bool:
    if not isinstance(obj, (type, FunctionType)):
        return False
    try:
        return attrgetter(obj.__qualname__)(sys.modules[obj.__module__]) is obj
    except (AttributeError, KeyError):
        return False
