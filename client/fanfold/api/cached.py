"""Results of a function that are kept on the machine where it is called: `@fanfold.cache`."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from fanfold.contract.layout import ENV_SCRATCH
from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import parse_age
from fanfold.core.processes import Locked
from fanfold.errors import CaptureError, CodecError, InputError
from fanfold.settings import current

if TYPE_CHECKING:
    from datetime import timedelta

    from fanfold.codec.paths import NamedPath

P = ParamSpec("P")
R = TypeVar("R")

_DEFAULT_AGE = "12h"
_first_calls = Locked()


class CachedFunction(Generic[P, R]):
    """A function whose results are kept, by its code with all that it refers to and by its arguments."""

    def __init__(
        self, fn: Callable[P, R], max_age_s: float, folder: str, *, exclude: Sequence[str], reset: bool
    ) -> None:
        if not callable(fn):
            raise InputError(f"@cache is for functions; {fn!r} is none.", next_step="write it above a `def`.")
        _check_excluded(fn, exclude)
        self._fn = fn
        self._max_age_s = max_age_s
        self._folder = folder
        self._exclude = tuple(exclude)
        self._reset = reset
        #: As it was at the first call: what the function itself changes makes it no other.
        self._code, self._code_paths = "", "{}"
        self._paths_or_texts: tuple[str, ...] = ()
        functools.update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result that was kept, or a new one. What cannot be told to be the same is computed."""
        path, texts = self._asked_for(args, kwargs)
        stamps = None if path is None else _stamps(texts)
        if path is None or stamps is None:
            return self._fn(*args, **kwargs)
        kept = None if self._reset else _read(path, self._max_age_s, stamps)
        if kept is None:
            asked_at = time.time()
            with _alone(path):
                # Another may have computed it meanwhile: that is no older than this call, and good for `reset` too.
                stamps = _stamps(texts)
                kept = _read(path, time.time() - asked_at if self._reset else self._max_age_s, stamps)
                if kept is None:
                    kept = (self._fn(*args, **kwargs),)
                    _write(path, kept[0], stamps, _stamps(texts))
        value: R = kept[0]
        return value

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def _asked_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Path | None, list[str]]:
        """Where the result of these arguments is kept, and the texts of what it depends on, in which files are named.

        None where there is no telling whether it is the same.
        """
        import inspect

        from fanfold.codec import encode_json
        from fanfold.codec.path_cells import with_texts_as_paths
        from fanfold.codec.paths import code_paths
        from fanfold.inputs.inspected import declared, paths_in
        from fanfold.source.capture import capture

        blobs: list[str] = []
        try:
            with _first_calls.lock:  # a thread that came second would meet, and count, what the first has noted here
                if not self._code:
                    bundle = capture(self._fn)
                    self._code_paths, self._paths_or_texts = code_paths(bundle.graph), paths_in(declared(self._fn))[0]
                    self._code = bundle.code_hash
            given = inspect.signature(self._fn).bind(*args, **kwargs)
            given.apply_defaults()
            counted = {name: value for name, value in given.arguments.items() if name not in self._exclude}
            text = encode_json(counted, put_blob=lambda sha256, _: blobs.append(sha256))
            either = {name: counted[name] for name in self._paths_or_texts if name in counted}
            named = with_texts_as_paths(encode_json(either, put_blob=lambda *_: None))
        except (CaptureError, CodecError, TypeError):
            return None, []
        key = hashlib.sha256("\0".join([self._code, text, *blobs]).encode()).hexdigest()
        return _root() / self._folder / key, [text, named, self._code_paths]


def _check_excluded(fn: Callable[..., Any], names: Sequence[str]) -> None:
    """Raises `InputError` for a name that is no parameter: all would be computed anew, silently."""
    import inspect

    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # of a builtin, nobody knows
        return
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in names:
        if name not in parameters and not takes_any:
            raise InputError(
                f"cache_key_exclude names {name!r}, which is no parameter of {getattr(fn, '__name__', fn)}.",
                next_step=f"give names of its parameters: {', '.join(parameters) or 'it has none'}.",
            )


def _root() -> Path:
    scratch = os.environ.get(ENV_SCRATCH)
    return Path(scratch) / "functions" if scratch else current().home / "functions"


class _Held(threading.local):
    """What this thread computes right now: it does not wait for itself."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_held = _Held()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One at a time of the threads and processes that share the folder computes what is kept there; others wait."""
    if path in _held.paths:
        yield
        return
    fd = -1
    with suppress(OSError):  # where there is no room, each computes it
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
    _held.paths.add(path)
    try:
        yield
    finally:
        _held.paths.discard(path)
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_UN)  # said: a child that was forked meanwhile has the file open too
            os.close(fd)


class _Stamps(NamedTuple):
    """What the files lead to that a call is given, and how the folders are among them; None where none is."""

    files: Mapping[NamedPath, str]
    folders: dict[str, str] | None = None


def _read(path: Path, max_age_s: float, given: _Stamps | None) -> tuple[Any] | None:
    """What is kept there, while the files that the call is given, and it names itself, are as they were; in a tuple."""
    from fanfold.codec import decode
    from fanfold.codec.paths import CannotLook

    try:
        if given is None or time.time() - path.stat().st_mtime > max_age_s:
            return None
        head, _, data = path.read_bytes().partition(b"\n")
        codec, *marks = head.decode().split(" ")
        if given.folders is not None and not _are_same(given.folders, marks.pop() if marks else ""):
            return None
        return (decode(codec, data),) if marks == _marks(given, codec, data) else None
    except (OSError, CodecError, ValueError, CannotLook):  # there is none, or half of one
        return None


def _write(path: Path, value: Any, before: _Stamps | None, after: _Stamps | None) -> None:
    """Keep a result, unless one of the files has changed meanwhile: nobody can tell which of the two it was made of."""
    from fanfold.codec import encode
    from fanfold.codec.paths import CannotLook, changed_meanwhile
    from fanfold.core.unfinished import unfinished

    if before is None or after is None or changed_meanwhile(before.files, after.files.__getitem__):
        return
    with suppress(CodecError, OSError, CannotLook):  # what cannot be kept is computed again
        encoded = encode(value)
        sealed = [] if after.folders is None else [_sealed(before.folders or {}, after.folders)]
        head = " ".join([encoded.codec, *_marks(after, encoded.codec, encoded.data), *sealed])
        path.parent.mkdir(parents=True, exist_ok=True)
        own = unfinished(path)
        own.write_bytes(head.encode() + b"\n" + encoded.data)
        own.replace(path)


def _stamps(texts: Sequence[str]) -> _Stamps | None:
    """What the files that encoded values name lead to now; None where nobody can tell."""
    from fanfold.codec.paths import CannotLook, Stamps, argument_paths, is_of_folder

    stamps = Stamps()
    of_code = texts[-1]
    try:
        paths = argument_paths(texts, (), here=True)
        stamps.look(paths)
        found = {one: stamps.of(one) for one in paths}
    except CannotLook:
        return None
    folders = [one for one, stamp in found.items() if is_of_folder(stamp)]
    if not folders:
        return _Stamps(found)
    from fanfold.codec.folders import states

    held = argument_paths([of_code], (), here=True)
    return _Stamps(found, states(one.path for one in folders if one not in held))


def _sealed(before: dict[str, str], after: dict[str, str]) -> str:
    """Which folders the call has not written to, as a word."""
    from fanfold.codec.folders import seal

    return seal(before, after).encode().hex()


def _are_same(folders: dict[str, str], sealed: str) -> bool:
    from fanfold.codec.folders import changed_since

    return not changed_since(bytes.fromhex(sealed).decode(), folders)


def _marks(given: _Stamps, codec: str, data: bytes) -> list[str]:
    """What stands for the files that a call was given, and that its result names. Raises `CannotLook`."""
    from fanfold.codec.encoded import text_of
    from fanfold.codec.paths import Stamps, result_paths

    text = text_of(codec, data)
    named = result_paths(text.decode(), texts=False, here=True) if text else []
    if not given.files and not named:
        return []
    listed = hashlib.sha256(repr(sorted(given.files.items())).encode()).hexdigest()
    return [listed, Stamps().digest(named, of_result=True)]


@overload
def cache(fn: Callable[P, R], /) -> CachedFunction[P, R]: ...


@overload
def cache(
    fn: None = None,
    /,
    *,
    cache_max_age: str | float | timedelta | None = None,
    cache_folder_path: str = "",
    cache_key_exclude: Sequence[str] = (),
    cache_reset: bool = False,
    **older: Any,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...


def cache(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    cache_max_age: str | float | timedelta | None = None,
    cache_folder_path: str = "",
    cache_key_exclude: Sequence[str] | None = (),
    cache_reset: bool | None = False,
    **older: Any,
) -> Any:
    """Keep a function's results on this machine, by its code and its arguments: `@cache`, `@cache(cache_max_age="1h")`.

    Outside a run they are in Fanfold's home, and in a run in its worker's scratch folder. `cache_max_age` is how old a
    kept result may be ("30s", "5m", "12h", seconds; default "12h"), `cache_key_exclude` names parameters that do not
    count, `cache_reset` computes anew. What cannot be compared or kept is computed each time. Raises `InputError`.
    """
    unknown = set(older) - {"cache_storage", "cache_verbose"}
    if unknown:
        raise InputError(
            f"@cache has no option {min(unknown)!r}.",
            next_step="it has cache_max_age, cache_folder_path, cache_key_exclude and cache_reset.",
        )
    if isinstance(cache_key_exclude, str):
        cache_key_exclude = (cache_key_exclude,)
    age = parse_age(_DEFAULT_AGE if cache_max_age is None else cache_max_age)
    if os.path.isabs(cache_folder_path) or ".." in Path(cache_folder_path).parts:
        raise InputError(
            "cache_folder_path is a folder within Fanfold's own.", next_step='give a name, such as "tiles".'
        )
    options: dict[str, Any] = {"exclude": cache_key_exclude or (), "reset": bool(cache_reset)}

    def decorate(function: Callable[..., Any]) -> CachedFunction[..., Any]:
        return CachedFunction(function, float(age or 0), cache_folder_path, **options)

    return decorate if fn is None else decorate(fn)
