"""Which cached results may serve a job: those of its keys whose files are as the runs left them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from fanfold.codec.encoded import first_part, text_of
from fanfold.codec.paths import (
    NO_PATHS,
    CannotLook,
    Stamps,
    argument_paths,
    code_paths,
    is_of_folder,
    names_paths,
    result_paths,
)
from fanfold.codec.registry import is_known
from fanfold.core.cache_key import returned_key, sealed_key, stamped_key, written_key
from fanfold.core.models import PATH_TAG, CacheEntry, JobHeader, Output, PathRules
from fanfold.engines.base import Stores
from fanfold.errors import CaptureError, ResultDamaged
from fanfold.stores.keys import bundle_key
from fanfold.stores.packing import Manifest

_TAG = PATH_TAG.encode()


class CacheReader:
    """Looks runs up in a cache; `here` says whether they run on this machine.

    `constants` is the text that they share, `code` that of the paths in the UDF's code. A file is looked at once, so
    that all runs of a submit meet it in one state.
    """

    def __init__(self, stores: Stores, rules: PathRules, constants: str, *, here: bool, code: str = NO_PATHS) -> None:
        self._stores = stores
        self._rules = rules
        self._shared = [constants, code]
        self._here = here
        self._stamps = Stamps()
        self._names_paths = bool(rules.parameters) or any(map(names_paths, self._shared))
        self._has_noted = False
        #: Under which keys results are kept whose runs were given folders; how those are that were looked into.
        self._given_folders: set[str] = set()
        self._folders: dict[str, str] = {}

    def lookup(self, keys: Sequence[str], texts: Sequence[str], *, max_age_s: float) -> dict[str, CacheEntry]:
        """The results that may serve again, by the key that was asked for.

        `texts` are the runs' arguments; none where no run names a file.
        """
        if max_age_s <= 0:
            return {}
        asked = self.stored_keys(keys, texts)
        known = self._stores.cache.lookup(list(asked), max_age_s=max_age_s)
        return {asked[key]: entry for key, entry in self.without_changed(known).items()}

    def stored_keys(self, keys: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
        """Under which key each result is kept while its files are as they are now, and the key it was asked for by."""
        if not (self._names_paths or any(map(names_paths, texts))):
            return {key: key for key in keys}
        named = [argument_paths([text, *self._shared], self._rules.parameters, here=self._here) for text in texts]
        of_code = set(argument_paths(self._shared[1:], (), here=True))
        stored = {}
        try:
            self._stamps.look(path for paths in named for path in paths)
        except CannotLook as reason:
            self._note(reason)
            return {key: key for key, paths in zip(keys, named, strict=True) if not paths}
        for key, paths in zip(keys, named, strict=True):
            try:
                own = stamped_key(key, self._stamps.digest(paths) if paths else "")
                stored[own] = key
                if any(is_of_folder(self._stamps.of(one)) for one in paths if one not in of_code):
                    self._given_folders.add(own)
            except CannotLook as reason:
                self._note(reason)
        return stored

    def without_changed(self, known: dict[str, CacheEntry]) -> dict[str, CacheEntry]:
        """Those of some results that can be read, and name no files, or files that are as their runs left them."""
        known = self._with_same_folders({key: one for key, one in known.items() if is_known(one.output.codec)})
        doubtful = [key for key, entry in known.items() if self._may_name_paths(entry.output)]
        if not doubtful:
            return known
        seals = self._stores.cache.lookup([returned_key(key) for key in doubtful], max_age_s=math.inf)
        for key in doubtful:
            seal = seals.get(returned_key(key))
            if not self._is_as_left(known[key].output, None if seal is None else seal.output.inline):
                del known[key]
        return known

    def _with_same_folders(self, known: dict[str, CacheEntry]) -> dict[str, CacheEntry]:
        """Those in whose folders nothing has changed, where their runs did not write there."""
        given = self._given_folders & known.keys()
        if not given:
            return known
        from fanfold.codec.folders import changed_since

        lookup = self._stores.cache.lookup
        seals = {
            one.key: one.output.inline for one in lookup(list(map(sealed_key, given)), max_age_s=math.inf).values()
        }
        texts = {key: seal.decode() for key in given if (seal := seals.get(sealed_key(key))) is not None}
        changed = {
            key: [written_key(known[key].job_id, one) for one in changed_since(text, self._folders)]
            for key, text in texts.items()
        }
        # A run that had nothing to write is not one that has read what the others of its job have written.
        asked = list({one for keys in changed.values() for one in keys})
        written = lookup(asked, max_age_s=math.inf) if asked else {}
        kept = {key for key, keys in changed.items() if all(one in written for one in keys)}
        return {key: entry for key, entry in known.items() if key not in given or key in kept}

    def _may_name_paths(self, output: Output) -> bool:
        check = self._rules.check_results
        if check is False or output.codec not in ("json/1", "parts/1"):
            return False
        return bool(check) or output.inline is None or _TAG in output.inline

    def _is_as_left(self, output: Output, seal: bytes | None) -> bool:
        if seal is None:  # a large result that names none has no seal
            return output.inline is None and not self._rules.check_results
        try:
            paths = result_paths(self._text_of(output).decode(), texts=bool(self._rules.check_results), here=self._here)
            return self._stamps.digest(paths, of_result=True).encode() == seal
        except CannotLook as reason:
            self._note(reason)
        except (ResultDamaged, ValueError):
            pass
        return False

    def _text_of(self, output: Output) -> bytes:
        """The text of a result, without the arrays and frames in it."""
        objects = self._stores.objects
        if output.inline is not None:
            return text_of(output.codec, output.inline)
        if output.codec == "parts/1":
            return first_part(lambda start, stop: objects.get_range(str(output.key), start, stop))
        return objects.get(str(output.key))

    def _note(self, reason: CannotLook) -> None:
        """Say once that results are computed anew because nobody can tell whether their files are the same."""
        if not self._has_noted:
            sys.stderr.write(f"fanfold: {reason}: runs that name it are computed anew.\n")
            self._has_noted = True


def paths_in_code(stores: Stores, header: JobHeader) -> str:
    """What `code_paths` gives of a job's code; as if there were none where the code is not there any more."""
    from fanfold.source.load import Bundle

    try:
        return code_paths(Bundle.from_bytes(stores.objects.get(bundle_key(header.current_bundle_sha256))).graph)
    except (ResultDamaged, CaptureError):
        return NO_PATHS


#: Headers and keys read at a time.
_PAGE = 500


def forget_results_of(udf: str, stores: Stores) -> int:
    """Take what the jobs of that name have computed out of the cache; how many results that were."""
    forgotten, before = 0, None
    while headers := stores.log.list_jobs(limit=_PAGE, before=before):
        before = headers[-1].id
        for header in (one for one in headers if one.name == udf):
            manifest, code = Manifest(stores.objects, header.id, header.count), paths_in_code(stores, header)
            reader = CacheReader(stores, PathRules(header.depends_on), header.constants, here=False, code=code)
            for first in range(0, header.count, _PAGE):
                some = range(first, min(first + _PAGE, header.count))
                keys = reader.stored_keys(manifest.cache_keys(some), [manifest.arguments(index) for index in some])
                known = list(stores.cache.lookup(list(keys), max_age_s=math.inf))
                stores.cache.forget(known)
                forgotten += len(known)
            if header.flight:  # nor are they to be found in its record
                stores.cache.leave_flight(header.flight, [header.id])
    return forgotten
