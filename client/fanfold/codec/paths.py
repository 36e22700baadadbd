"""The files that arguments and results name: which they are, and by what a change of them is seen.

A path is found in encoded text, so it is found wherever it stands: in a list, in a dataclass, in a dict. Imported by
workers where a text names a path: cheap standard library only at the top.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from stat import S_ISDIR
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import PATH_TAG, PATH_TAG_WITHIN

#: What a path leads to that leads nowhere.
ABSENT = "absent"
S3, LOCAL = "s3://", "/"
_VSI, _VSI_S3, _FILE_URL = "/vsi", "/vsis3/", "file:"
#: Linux takes no longer path.
LONGEST_PATH = 4096
#: A path as it stands in encoded text: a file, or a folder that counts by being there; a folder that counts with all
#: that lies below it; and what stands before the paths of a file system, so that a text beside it is one of them.
FILE, FOLDER, SYSTEM = "Path", "Folder", "System"
#: What a path within S3 begins with: a bucket's name, or an access point's.
_BUCKET = re.compile(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/|arn:)")
#: What parts a path from what else a library wants to know: `NETCDF:"a.nc":rain`, `places.gpkg|layername=towns`.
_BESIDE_A_PATH = re.compile(r"[\"':|!?,]")
#: What a text is like that may be a path: one in S3, or one with a folder before it, or an ending behind.
_LIKE_A_PATH = re.compile(r"(s3://|file:|/|(?!\w+://)[^\n]{0,300}(/|\.[A-Za-z]\w{1,9}\Z))")
#: In a folder that is a Zarr store: written when the store is, and not by who fills a part of it.
_STORE_MARKS = ("zarr.json", ".zmetadata", ".zgroup", ".zarray", ".zattrs")
#: What a writer of SQLite or DuckDB that is still at work has put beside the file, and not yet into it.
JOURNALS = dict.fromkeys((".gpkg", ".sqlite", ".sqlite3", ".db", ".mbtiles"), "-wal") | {".duckdb": ".wal"}
#: Rasters whose georeference, or all that is known of them, may lie beside them.
RASTERS = tuple(".tif .tiff .img .bil .bip .bsq .dat .flt .asc .png .jpg .jpeg .jp2".split())
#: What is always made of other files: a VRT names them, and those of a shapefile lie beside it.
VRT, SHAPEFILE = ".vrt", ".shp"
#: A file that names more objects in S3 than this cannot be looked at: each is a request.
_MOST_OBJECTS = 100
#: What makes a pattern of a text that is no path: it stands for all that it matches.
PATTERN = re.compile(r"[*?[]")
_SYSTEM_TAG = f'"{SYSTEM}"'
_BLOCK_BYTES = 1 << 20


class NamedPath(NamedTuple):
    """A path that a value names; `deep` where a folder stands for all the files below it."""

    path: str
    deep: bool = False

    @property
    def is_far(self) -> bool:
        """Whether it is of no machine, and the same from every one: in S3, or where nobody can look."""
        return self.path.startswith(_VSI) or ("://" in self.path and not self.path.startswith(_FILE_URL))

    @property
    def is_made_of_others(self) -> bool:
        """Whether it is a file without which nothing but its companions would be read."""
        return self.path.lower().endswith((VRT, SHAPEFILE))

    @property
    def may_have_companions(self) -> bool:
        """Whether there may be other files that it is made of, too."""
        return self.is_made_of_others or (self.path.lower().endswith((*RASTERS, *JOURNALS)) and not self.is_far)

    @property
    def is_raster(self) -> bool:
        """Whether it is named like a raster of a machine, beside which other files may lie."""
        return not self.is_far and self.path.lower().endswith(RASTERS)

    @property
    def is_in_s3(self) -> bool:
        """Whether it leads into S3, where one can look."""
        return self.path.startswith((S3, _VSI_S3))


class CannotLook(Exception):
    """A path that may be there, or not: what keeps it refuses to say."""


def changed_meanwhile(before: Mapping[NamedPath, str], stamp_now: Callable[[NamedPath], str]) -> list[NamedPath]:
    """Those of the paths that led to something before, and lead to something else now.

    What was read of them is one or the other, and nobody can tell which. What was absent cannot have been read. So it
    is with what lies beside a raster by now alone: to ask GDAL for statistics makes an `.aux.xml`.
    """
    found = []
    for path, stamp in before.items():
        now = stamp_now(path)
        if stamp not in (ABSENT, now) and not (path.is_raster and now.startswith(f"{stamp} ")):
            found.append(path)
    return found


def names_paths(text: str) -> bool:
    """Whether an encoded value holds a path. Quick, and certain where it says no."""
    return PATH_TAG in text


def argument_paths(texts: Iterable[str], parameters: Sequence[str], *, here: bool) -> list[NamedPath]:
    """The paths in encoded arguments, each once: every `Path`, and every text in the arguments of `parameters`.

    `here`: False leaves out those of this machine, where the arguments are for another.
    """
    found: set[NamedPath] = set()
    texts = list(texts)
    beside = any(_SYSTEM_TAG in text for text in texts)
    trees = [json.loads(text) for text in texts if parameters or beside or names_paths(text)]
    for tree in trees:
        for name, part in tree.items():
            found.update(_noted(part))
            if name in parameters:
                found.update(NamedPath(path, deep=True) for path in texts_in(_itself(part, tree)))
    if beside:
        systems = {path for tree in trees for kind, path in _tags(tree) if kind == SYSTEM}
        parts = [part for tree in trees for part in tree.values()]
        found.update(_beside(systems, parts))
    whole = {one.path for one in found if one.deep}
    return sorted(one for one in found if (here or one.is_far) and (one.deep or one.path not in whole))


def _itself(part: Any, tree: Mapping[str, Any]) -> Any:
    """The part of arguments that another stands for, being the same object."""
    same = part.get("$same") if isinstance(part, dict) else None
    return tree.get(same, part) if isinstance(same, str) else part


def _beside(systems: Iterable[str], parts: Iterable[Any]) -> Iterator[NamedPath]:
    """The paths of file systems that texts are which stand beside them in other arguments."""
    for part in parts:
        for text in {part} if isinstance(part, str) else set(texts_in(part)):
            found = (address_of(system, text, is_argument=text is part) for system in systems if text != system)
            yield from (NamedPath(address) for address in found if address is not None)


def address_of(system: str, text: str, *, is_argument: bool = False) -> str | None:
    """What a text leads to as a path of a file system: its address, or None where it is no path of it.

    One without a folder is a path in a bucket, where it is an argument: else it is a name like any other.
    """
    if not (1 < len(text) < LONGEST_PATH and text.isprintable()) or system.startswith(text):
        return None
    if system == LOCAL:
        return text if text.startswith(LOCAL) else None
    if "://" in text:  # what S3 is asked at, its own address, is no path in it
        return None if text.endswith("://") or (system == S3 and not text.startswith(S3)) else text
    is_bucket = not system.endswith("://")
    if ("/" not in text and not (is_bucket and is_argument)) or system in ("http://", "https://"):
        return None
    if system == S3 and not _BUCKET.match(text.lstrip("/")):
        return None
    return f"{system}{text.lstrip('/')}"


#: What stands for code in which there is no path.
NO_PATHS = "{}"


def code_paths(graph: str) -> str:
    """The paths that a UDF's own code holds, as a text of arguments: in defaults, at the top of modules, in closures.

    `graph` is that of its bundle. Two submits of the same code give the same text.
    """
    if PATH_TAG_WITHIN not in graph:
        return NO_PATHS
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = [json.loads(graph)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            if PATH_TAG in part:
                found.update(_tags(_parsed(part)))
        elif isinstance(part, (list, dict)):
            waiting += part if isinstance(part, list) else part.values()
    return json.dumps({"": [{"$path": one} for one in sorted(found)]}) if found else NO_PATHS


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # the user's own text, in which this stands
        return None


def local_path(text: str) -> str | None:
    """A file or folder of this machine that encoded arguments name, as a `Path` or as a text from the root."""
    if PATH_TAG not in text and '"/' not in text:
        return None
    tree = json.loads(text)
    named = [
        *(one.path for one in _noted(tree)),
        *(one for one in texts_in(tree) if one.startswith("/") and len(one) > 1),
    ]
    return next(
        (one for one in named if not one.startswith(_VSI) and on_disk(one, deep=False)[0] in "0123456789f"), None
    )


def result_paths(text: str, *, texts: bool, here: bool) -> list[NamedPath]:
    """The paths in an encoded result: every `Path`, and where `texts` what looks like one, in S3 or on a disk."""
    if not texts and not names_paths(text):
        return []
    tree = json.loads(text)
    found = set(_noted(tree))
    if texts:
        found.update(NamedPath(path) for path in texts_in(tree) if _LIKE_A_PATH.match(path))
    return sorted(one for one in found if here or one.is_far)


def _noted(tree: Any) -> Iterator[NamedPath]:
    """The paths that stand in a tree as such."""
    return (NamedPath(path, kind == FOLDER) for kind, path in _tags(tree) if kind != SYSTEM)


def _tags(tree: Any) -> Iterator[tuple[str, str]]:
    """The kinds and texts of the paths in a tree."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            path = part.get("$path")
            if isinstance(path, list) and len(path) == 2 and all(isinstance(one, str) for one in path):
                yield path[0], path[1]
            else:
                waiting += part.values()


def texts_in(tree: Any) -> Iterator[str]:
    """All texts in a tree, a path's among them."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if isinstance(part.get("$bytes"), str):
                waiting.append(_path_in_bytes(part["$bytes"]))
            elif isinstance(part.get("$str"), str):  # with what is no character, as in names of files
                waiting.append(_decoded(part["$str"], "surrogatepass"))
            else:
                waiting += [part["$path"][-1:]] if isinstance(part.get("$path"), list) else part.values()


def _path_in_bytes(text: str) -> str | None:
    """A path as `os.fsencode` gives it; None of other bytes, as those of a frame are."""
    found = _decoded(text) if len(text) <= 2 * LONGEST_PATH else None
    return found if found and found.isprintable() else None


def _decoded(text: str, errors: str = "strict") -> str | None:
    import binascii

    try:
        return binascii.a2b_base64(text).decode(errors=errors)
    except ValueError:
        return None


# By what a change is seen: size and moment of a file here, ETag of an object in S3.


class Stamps:
    """What paths lead to now. Each is looked at once, those in S3 side by side."""

    def __init__(self, s3: Callable[[], Any] | None = None, known: Mapping[NamedPath, str] | None = None) -> None:
        """`s3` makes a client for S3, once one is needed; `known` are stamps that somebody has just looked at."""
        self._s3 = s3 or _s3_client
        self._known: dict[NamedPath, str] = dict(known or {})
        #: The client for S3, once one was needed.
        self.client: Any = None

    def digest(self, paths: Iterable[NamedPath], *, of_result: bool = False) -> str:
        """What stands for all of them, 64 hexadecimal digits; of a result, a folder that was emptied is another one.

        Raises `CannotLook`.
        """
        listed = [[one.path, one.deep, self.of(one)] for one in paths]
        if of_result:
            listed += [["emptied", one[0]] for one in listed if one[2] == "folder" and _is_empty(str(one[0]))]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def look(self, paths: Iterable[NamedPath]) -> None:
        """Look at many of them ahead of being asked; what cannot be looked at is found out when asked."""
        far = [
            one for one in dict.fromkeys(paths) if one.is_far and not one.may_have_companions and one not in self._known
        ]
        if len(far) < 2:
            return
        from concurrent.futures import ThreadPoolExecutor

        self._connect()
        with ThreadPoolExecutor(min(16, len(far))) as pool:
            for one, stamp in zip(far, pool.map(self._try, far), strict=True):
                if stamp is not None:
                    self._known[one] = stamp

    def of(self, path: NamedPath) -> str:
        """What one of them leads to now. Raises `CannotLook`."""
        stamp = self._known.get(path)
        if stamp is None:
            stamp = self._far(path) if path.is_far else on_disk(path.path, deep=path.deep)
            self._known[path] = stamp  # so that a file which names itself is looked at once
            if path.may_have_companions and stamp != ABSENT and (others := self._of_companions(path)):
                stamp = self._known[path] = f"{stamp} {others}"
        return stamp

    def _of_companions(self, path: NamedPath) -> str:
        """What the other files lead to that a file is made of; "" for a raster or a database that has none."""
        from fanfold.codec.companions import companions

        here = path.path if path.is_far else on_this_machine(path.path)
        others = [NamedPath(one) for one in companions(here, lambda: self._content(path))]
        if not others and not path.is_made_of_others:
            return ""
        if sum(one.is_far for one in others) > _MOST_OBJECTS:
            raise CannotLook(f"{path.path} names more than {_MOST_OBJECTS} objects")
        self.look(others)
        return self.digest(others)

    def _content(self, path: NamedPath) -> bytes:
        if not path.is_in_s3:
            try:
                with open(on_this_machine(path.path), "rb") as file:
                    return file.read()
            except OSError as error:
                raise CannotLook(f"{path.path} cannot be read ({error.strerror})") from error
        from fanfold.codec import s3_stamps

        return s3_stamps.bytes_of(self._connect(), *_place_in_s3(path.path))

    def _try(self, path: NamedPath) -> str | None:
        try:
            return self._far(path)
        except CannotLook:
            return None

    def _connect(self) -> Any:
        if self.client is None:
            try:
                self.client = self._s3()
            except ImportError as error:
                raise CannotLook(f"looking into S3 needs {error.name}") from error
        return self.client

    def _far(self, path: NamedPath) -> str:
        if not path.is_in_s3:
            raise CannotLook(f"{path.path} is kept where Fanfold cannot look")
        from fanfold.codec import s3_stamps

        return s3_stamps.of_object(self._connect(), *_place_in_s3(path.path))


def _place_in_s3(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix(S3).removeprefix(_VSI_S3).partition("/")
    return bucket, key


def _s3_client() -> Any:
    from fanfold.codec import s3_stamps

    return s3_stamps.client()


def on_disk(path: str, *, deep: bool) -> str:
    """A file's size and moments of change; of a folder that it is one, or where `deep` all below it.

    The second moment is the system's own: a program that puts a file back with its size and its time, as `cp -p` and
    `rsync -t` do, cannot set it.
    """
    path = on_this_machine(path)
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return (_matched(path) if PATTERN.search(path) else ABSENT) if _is_one(path) else _parts(path)
    except (OSError, ValueError) as error:  # a text that is no path at all, or one behind a closed door
        return f"unseen {type(error).__name__}"
    if not S_ISDIR(about.st_mode):
        is_journal = path.endswith("-wal")  # whose owner SQLite sets when root reads the database
        return f"{about.st_size} {about.st_mtime_ns} {'' if is_journal else about.st_ctime_ns}"
    if deep:
        return f"folder {_folder(path, lambda file: on_disk(file, deep=False))}"
    marks = [on_disk(os.path.join(path, name), deep=False) for name in _STORE_MARKS]
    return "folder" if set(marks) == {ABSENT} else f"store {' '.join(marks)}"


def is_of_folder(stamp: str) -> bool:
    """Whether a stamp is that of a folder which counts by being there."""
    return stamp == "folder" or stamp.startswith("store ")


def is_store(folder: str) -> bool:
    """Whether a folder is a Zarr store."""
    return any(os.path.exists(os.path.join(folder, name)) for name in _STORE_MARKS)


def _is_empty(folder: str) -> bool:
    """Whether nothing is in a folder, or nobody may look."""
    try:
        with os.scandir(on_this_machine(folder)) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def on_this_machine(path: str) -> str:
    """The path that a `file:` URL, or one with `~` for the home or `$NAME`, leads to; any other as it is."""
    if path.startswith(_FILE_URL):
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(path).path)
    if not path.startswith("~") and "$" not in path:
        return path
    return path if os.path.lexists(path) else os.path.expanduser(os.path.expandvars(path))


def _is_one(path: str) -> bool:
    """Whether a text that leads nowhere can be but a path."""
    return _BESIDE_A_PATH.search(path) is None or len(path) >= LONGEST_PATH or os.path.lexists(path)


def _parts(text: str) -> str:
    """What the files lead to that a text names beside other things, if any; a word may be a folder by chance."""
    parts = [one for one in _BESIDE_A_PATH.split(text) if one.strip("./")]
    found = [on_disk(one, deep=True) for one in parts if os.path.isfile(one) or ("/" in one and os.path.isdir(one))]
    if PATTERN.search(text):
        found.append(_matched(text))
    return " ".join(found) or ABSENT


def _matched(pattern: str) -> str:
    """A hash of the names that a pattern matches, and of what these lead to; as if it were a path where none does."""
    from fanfold.core.matches import matches

    found = sorted(matches(pattern))
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path}\0{on_disk(path, deep=True)}\n".encode(errors="replace"))
    return f"{len(found)} files {digest.hexdigest()}" if found else ABSENT


def content(path: str) -> str:
    """A hash of a file's bytes, or of the names and bytes of all files in a folder. Raises `FileNotFoundError`."""
    return _folder(path, _hash_if_file) if os.path.isdir(path) else _hash_of(path)


def content_of_matches(pattern: str) -> str:
    """A hash of the names and bytes of all files that a pattern matches; `ABSENT` where none does."""
    from fanfold.core.matches import matches

    found = sorted(matches(pattern))
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path}\0{content(path)}\n".encode(errors="replace"))
    return digest.hexdigest() if found else ABSENT


def _folder(path: str, told: Callable[[str], str]) -> str:
    """A hash of the names of all files in a folder, behind links to folders as well, and of what is `told` of each.

    Where links lead to one folder twice, as one to a folder above it does, the second time only that is counted.
    """
    digest = hashlib.sha256()
    first: dict[str, str] = {}
    for parent, folders, files in os.walk(path, followlinks=True):
        place = os.path.relpath(parent, path)
        if (known := first.setdefault(os.path.realpath(parent), place)) != place:
            folders.clear()
            digest.update(f"{place}\0the same as {known}\n".encode(errors="replace"))
            continue
        folders.sort()
        for name in sorted(files):
            where = os.path.join(parent, name)
            digest.update(f"{os.path.relpath(where, path)}\0{told(where)}\n".encode(errors="replace"))
    return digest.hexdigest()


def _hash_if_file(path: str) -> str:
    """A hash of the bytes of what a folder has under a name; a link that leads nowhere and a pipe have none."""
    return _hash_of(path) if os.path.isfile(path) else "no file"


def _hash_of(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
