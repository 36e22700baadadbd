"""The result cache of this machine: cache size, cache clear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fanfold.amounts import counted
from fanfold.cli import options
from fanfold.cli.options import age_s
from fanfold.cli.output import print_json, print_text
from fanfold.cli.wording import size as said_size

if TYPE_CHECKING:
    from fanfold.stores.local.cache import SqliteResultCache


def size(as_json: options.AsJson = False) -> None:
    """Show how many results are cached, and how much room they take."""
    with _cache() as cache:
        results, count = cache.usage()
    if as_json:
        print_json({"results": results, "bytes": count})
    else:
        print_text(f"{counted(results, 'result')}, {said_size(count)}")


def clear(
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only results older than 30s, 5m, 12h, 7d.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Forget cached results, and delete files that nothing needs.

    The results of jobs stay: they can still be collected. `fanfold remove` takes jobs away.
    """
    age = None if older_than is None else age_s("--older-than", older_than)
    with _cache() as cache:
        forgotten, freed = cache.clear(age)
    if as_json:
        print_json({"forgotten": forgotten, "freed_bytes": freed})
    else:
        print_text(f"{counted(forgotten, 'result')} forgotten, {said_size(freed)} freed")


@contextmanager
def _cache() -> Iterator[SqliteResultCache]:
    from fanfold.settings import current
    from fanfold.stores.local import LocalStores

    with LocalStores.open(current().home) as stores:
        yield stores.cache
