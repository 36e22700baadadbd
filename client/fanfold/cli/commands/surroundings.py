"""What UDFs find around them: packages of their own."""

from __future__ import annotations

from fanfold.cli import options
from fanfold.cli.output import print_json, print_text
from fanfold.core.formatting import counted


def update(as_json: options.AsJson = False) -> None:
    """Take the newest versions that the same words allow, from now on.

    A list of packages means the versions it came to when it was first used, until this. Nothing is fetched now.
    """
    from fanfold.submission.packages import forget_locks

    forgotten = forget_locks()
    if as_json:
        print_json({"forgotten": forgotten})
    else:
        print_text(f"{counted(forgotten, 'list')} of packages will be looked up anew")
