"""Pickled objects between a process and its own workers; large buffers stand beside the pickle, uncopied.

Imported by workers: cheap standard library only.
"""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Callable
from struct import Struct
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakMethod, proxy, ref

from fanfold.contract.records import NamedTuple

#: A buffer below this is cheaper within the pickle.
_OWN_PLACE_BYTES = 16 * 1024
#: Arrays want their first byte at a multiple of this.
_ALIGNMENT = 64
_HEAD = Struct("<QQ")
_LENGTH = Struct("<Q")


class Parcel(NamedTuple):
    """A pickle and the buffers that belong to it."""

    pickled: bytes
    buffers: list[memoryview]

    @property
    def size(self) -> int:
        """Bytes, all in all."""
        return len(self.pickled) + sum(buffer.nbytes for buffer in self.buffers)

    def write(self, path: str) -> None:
        """Write it to a new file."""
        lengths = [buffer.nbytes for buffer in self.buffers]
        with open(path, "xb") as file:
            file.write(_HEAD.pack(len(self.pickled), len(lengths)))
            file.write(b"".join(map(_LENGTH.pack, lengths)))
            file.write(self.pickled)
            for buffer in self.buffers:
                file.write(bytes(-file.tell() % _ALIGNMENT))
                file.write(buffer)


def pack(value: Any, dumps: Callable[..., bytes]) -> Parcel:
    """Pickle a value by `dumps`, which takes what `pickle.dumps` takes."""
    buffers: list[memoryview] = []

    def keep_within(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _OWN_PLACE_BYTES:
            return True
        buffers.append(raw)
        return False

    return Parcel(dumps(value, protocol=5, buffer_callback=keep_within), buffers)


def take(path: str) -> Any:
    """What the parcel in that file holds; the file is removed. Its arrays are pages of the file, not copies."""
    with open(path, "rb") as file:
        os.unlink(path)
        pickled, buffers = _HEAD.unpack(file.read(_HEAD.size))
        if not buffers:
            return pickle.loads(file.read(pickled))  # noqa: S301 - written by this process or its worker
        # Private pages: a change of an array reaches nobody else's.
        pages = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    at = _HEAD.size
    lengths = [_LENGTH.unpack_from(pages, at + number * _LENGTH.size)[0] for number in range(buffers)]
    start = at + buffers * _LENGTH.size
    views, end = [], start + pickled
    for length in lengths:
        begin = end + -end % _ALIGNMENT
        end = begin + length
        views.append(pages[begin:end])
    return pickle.loads(pages[start : start + pickled], buffers=views)  # noqa: S301 - as above


# The text that a call's arguments are on their way to a worker: which session they belong to, and the parcel.


def address(session: int, parcel: Parcel, path: str, inline_bytes: int) -> str:
    """A parcel as text: itself where it is small, else the file `path` that it is written to."""
    if parcel.buffers or len(parcel.pickled) > inline_bytes:
        parcel.write(path)
        return f"{session}:@{path}"
    from base64 import b64encode

    return f"{session}:{b64encode(parcel.pickled).decode()}"


def opened(text: str) -> tuple[str, Callable[[], Any]]:
    """The session that a text names, and what gives its parcel's value."""
    session, _, rest = text.partition(":")
    if rest.startswith("@"):
        return session, lambda: take(rest[1:])
    from binascii import a2b_base64

    return session, lambda: pickle.loads(a2b_base64(rest))  # noqa: S301 - written by this process's parent


def discard(text: str) -> None:
    """Remove the file of a text that nobody will open."""
    _, _, rest = text.partition(":")
    if rest.startswith("@"):
        try:
            os.unlink(rest[1:])
        except FileNotFoundError:
            return


# What a pickle may call to make its objects.


def code_of(file: str, make: Callable[..., CodeType], parts: tuple[Any, ...]) -> CodeType:
    """Code made of its parts, with the name of its file."""
    return make(*parts).replace(co_filename=file)


def function_of(code: CodeType, module: str, name: str, *parts: Any) -> FunctionType:
    """A function of a module that is imported here, of another code than the module's file has under its name."""
    import importlib

    qualname, defaults, keyword_defaults, attributes = parts
    made = FunctionType(code, vars(importlib.import_module(module)), name, defaults)
    made.__qualname__, made.__module__, made.__kwdefaults__ = qualname, module, keyword_defaults
    made.__dict__.update(attributes)
    return made


def read_only(array: Any) -> Any:
    """An array that nothing may be written to."""
    array.setflags(write=False)
    return array


def set_all(made: Any, states: tuple[Any, dict[str, Any]]) -> None:
    """Give an object what its base knows, and its own attributes."""
    state, own = states
    if state is not None:
        made.__setstate__(state)
    made.__dict__.update(own)


def variable_of(name: str, default: tuple[Any, ...], held: tuple[Any, ...]) -> Any:
    """A context variable, with its default and what it holds, where it has them."""
    from contextvars import ContextVar

    made: Any = ContextVar(name, default=default[0]) if default else ContextVar(name)
    for value in held:
        made.set(value)
    return made


def handler_of(stream: Any, attributes: dict[str, Any]) -> Any:
    """A logging handler that writes to a stream."""
    from logging import StreamHandler

    made = StreamHandler(stream)
    made.__dict__.update(attributes)
    return made


def logger_of(name: str, filters: list[Any], printing: list[Any]) -> Any:
    """The logger of a name with these filters, and these handlers in the place of those that printed before."""
    from logging import StreamHandler, getLogger

    logger = getLogger(name)
    if filters:
        logger.filters[:] = filters
    if printing:
        logger.handlers[:] = [*(h for h in logger.handlers if type(h) is not StreamHandler), *printing]
    return logger


def call_with(maker: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a call gives."""
    return maker(*args, **named)


def member_of(kind: Any, name: str) -> Any:
    """The member of an Enum that has that name."""
    return kind._member_map_[name]


class _Gone:
    """What nobody holds."""


def reference_of(kind: Any = ref, target: Any = None, *more: Any) -> Any:
    """A weak reference to an object; without one, to what is gone."""
    return kind(_Gone() if target is None else target, *more)


def gone_proxy(is_callable: bool) -> Any:
    """A weak proxy of what is gone."""
    return proxy(lambda: None) if is_callable else proxy(_Gone())


def descriptor_of(owner: type, name: str) -> Any:
    """What a class itself has under a name."""
    return vars(owner)[name]


def weak_method_of(target: Any, name: str) -> Any:
    """A weak reference to a method of an object."""
    return WeakMethod(getattr(target, name))


#: What a call's weak references refer to: its caller has it, whether the call is given it or not.
_referents: list[Any] = []


def held_reference_of(*parts: Any) -> Any:
    """The same in an argument: what it refers to is there until the call is over."""
    _referents.extend(parts[1:2])
    return reference_of(*parts)


def let_referents_go() -> None:
    """The call is over."""
    _referents.clear()


def remembering(function: Callable[..., Any], parameters: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """A function that remembers its results, with nothing remembered yet."""
    import functools

    wrapper = functools.lru_cache(**parameters)(function)
    wrapper.__dict__.update(attributes)
    return wrapper


def call_each(function: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> list[Any]:
    """The calls of a chunk, one after the other."""
    return [function(*args) for args in chunk]
