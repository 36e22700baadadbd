"""What the standard library's classes keep in their objects, by which one Python's state is not taken for another's.

`ConfigParser` has kept its comments since 3.14, `argparse` an identity of its own; an object of 3.10 would do without
them until it is used. A state therefore says what its class kept where it was written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MemberDescriptorType
from zlib import crc32

from fanfold.codec.classes import lookup
from fanfold.core.processes import python_here

#: These keep nothing in the objects of classes that extend them.
_KEEP_NOTHING = frozenset({"builtins", "typing", "abc", "enum"})


def standard_classes(kind: type) -> tuple[type, ...]:
    """The classes of the standard library that a class is, or extends, and that may keep something."""
    return tuple(each for each in kind.__mro__ if _is_standard(each))


def _is_standard(kind: type) -> bool:
    module: object = kind.__module__
    if not isinstance(module, str) or module in _KEEP_NOTHING:
        return False
    # What has been made by a call, such as a header of an email, extends others.
    return module.partition(".")[0] in sys.stdlib_module_names and lookup(module, kind.__qualname__) is kind


@lru_cache(maxsize=1024)
def shape(kinds: tuple[type, ...]) -> str:
    """What some classes keep in an object, as a hash of the attributes' names; empty where they keep nothing."""
    names = names_kept(kinds)
    return f"{crc32(' '.join(sorted(names)).encode()):08x}" if names else ""


def names_kept(kinds: tuple[type, ...]) -> frozenset[str]:
    """The names of what some classes keep in an object."""
    return frozenset(name for kind in kinds for name in _kept(kind))


def mark(kind: type) -> str:
    """What a state of a class says of the Python that wrote it; empty where all write the same."""
    kept = shape(standard_classes(kind))
    return f"{python_here()} {kept}" if kept else ""


def unlike(kind: type, written: str) -> str:
    """Why an object of a class does not take a state with that mark; empty where it does."""
    python, _, kept = written.partition(" ")
    if not kept or shape(standard_classes(kind)) == kept:
        return ""
    return f"Python {python} wrote it, whose objects of that class keep something else than those of {here()}"


def here() -> str:
    """This Python in words; of two with one minor version the whole, for they differ in it."""
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}"


def _kept(kind: type) -> Iterator[str]:
    if hasattr(kind, "__setstate__"):
        yield "__setstate__"
    for name, member in vars(kind).items():
        if isinstance(member, MemberDescriptorType) and not name.startswith("__"):
            yield name
        elif isinstance(member, FunctionType):
            yield from _stored(member.__code__)


def _stored(code: CodeType) -> Iterable[str]:
    """The names that a method sets of its first parameter."""
    if not code.co_argcount:
        return ()
    import dis

    found, loaded = [], None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and loaded == code.co_varnames[0]:
            found.append(str(instruction.argval))
        if instruction.opname != "EXTENDED_ARG":
            # Some load two variables at once: the object comes last.
            of = instruction.argval
            of = of[-1] if isinstance(of, tuple) and of else of
            loaded = of if instruction.opname.startswith("LOAD_FAST") else None
    return found
