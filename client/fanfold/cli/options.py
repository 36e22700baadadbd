"""The arguments and options that several commands share, and what completes them in a shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from fanfold.errors import InputError

_COMPLETED = 50


def job_ids(incomplete: str) -> Iterator[tuple[str, str]]:
    """The latest jobs whose id begins so, each with its name; none where there is no store to ask."""
    from fanfold.engines.base import engine_for
    from fanfold.errors import FanfoldError

    try:
        headers = engine_for().stores.log.list_jobs(limit=_COMPLETED)
    except FanfoldError:  # a shell's completion must not print errors
        return
    yield from ((header.id, header.name) for header in headers if header.id.startswith(incomplete))


def instance_type_names(incomplete: str) -> list[str]:
    """The machines whose name begins so."""
    from fanfold.contract.instances import INSTANCE_TYPES

    return [name for name in INSTANCE_TYPES if name.startswith(incomplete)]


def engine_names(incomplete: str) -> list[str]:
    """The engines whose name begins so."""
    return [name for name in ("local", "aws") if name.startswith(incomplete)]


FORMATS = ".parquet, .geoparquet, .csv, .jsonl, .gpkg, .geojson, .fgb, .tif, .vrt, .zarr or .nc, here or at s3://."
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id; - is the latest.", autocompletion=job_ids)]
JobOrFolder = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id, - the latest, or an exported folder.", autocompletion=job_ids),
]
UdfFile = Annotated[
    str, typer.Argument(metavar="UDF", help="Its file, as flights.py; or, where it has several, flights.py:delays.")
]
Values = Annotated[list[str] | None, typer.Argument(metavar="VALUE", help="Inputs for its first parameter.")]
InputsFile = Annotated[
    str | None,
    typer.Option(
        "--inputs",
        "-i",
        metavar="FILE",
        help=".csv, .tsv, .jsonl, .parquet, .gpkg, .geojson or .fgb; - for JSON lines from stdin.",
    ),
]
ResultsOf = Annotated[
    str | None,
    typer.Option(
        "--results-of", metavar="JOB", help="A job whose results are the inputs, where they lie; - the latest."
    ),
]
GroupedBy = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="With --results-of: a parameter, or several with commas, to group by."),
]
Numbers = Annotated[
    str | None,
    typer.Option("--range", metavar="START:STOP[:STEP]", help="Whole numbers, as Python's range: without STOP."),
]
Constants = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An argument that is the same for every run; repeat it."),
]
Processes = Annotated[
    str,
    typer.Option("--processes", metavar="N", help="Runs side by side on each machine; auto: what its memory holds."),
]


def processes(text: str) -> int | Literal["auto"]:
    """A number of runs side by side, or "auto". Raises `InputError`."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not int(text):
        raise InputError(f"--processes {text} is not a number of runs.", next_step="give a number from 1 up, or auto.")
    return int(text)


Budget = Annotated[
    float | None,
    typer.Option("--budget", min=0, metavar="USD", help="Begin no more runs when the job has cost so many dollars."),
]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Runs, or machines, side by side at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
EngineName = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="local or aws; else as configured.", autocompletion=engine_names),
]
InstanceTypeName = Annotated[
    str | None,
    typer.Option(
        "--instance-type",
        metavar="NAME",
        help="A machine for each worker and no time limit, such as small.",
        autocompletion=instance_type_names,
    ),
]
Cache = Annotated[bool, typer.Option("--cache/--no-cache", help="Use and keep cached results.")]
CacheMaxAge = Annotated[
    str | None, typer.Option(metavar="AGE", help="How old a cached result may be: 30s, 5m, 12h, 7d.")
]
Packages = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="PACKAGE",
        help="A package to bring along beside the UDF's own, a wheel, a .txt of them, or auto; repeat it.",
    ),
]
Image = Annotated[
    str | None, typer.Option("--image", metavar="NAME", help="The deployment's image that runs have, by its name.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="A label of the job; repeat it.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show what changes.")]
OneRun = Annotated[int | None, typer.Option("--run", metavar="N", help="Only this run, numbered from 0.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Rows at most. [default: 50; --json has all]", show_default=False),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Start it, print its id, and let it go on by itself.")]
Timeout = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="Wait no longer than this.", show_default=False)
]


def age_s(option: str, text: str) -> float:
    """Seconds of an age such as 7d. Raises `InputError` naming the option.

    A bare number is refused: it would be taken for seconds where days are meant, and what goes by age is deleted.
    """
    from fanfold.core.cache_key import parse_age
    from fanfold.errors import InputError

    refusal = InputError(f"{option} {text} is not an age.", next_step="write 30s, 5m, 12h, 7d or 2w.")
    try:
        seconds = parse_age(text)
    except InputError:
        raise refusal from None
    if seconds > 0 and text.rstrip()[-1].isdigit():
        raise refusal
    return seconds


def tags(given: list[str] | None) -> dict[str, str]:
    """Labels by name. Raises `InputError` for one without a name or a value."""
    from fanfold.errors import InputError

    for one in given or ():
        if not one.partition("=")[0] or "=" not in one:
            raise InputError(f"--tag {one} is not a label.", next_step="write --tag NAME=VALUE.")
    return dict(one.split("=", 1) for one in given or ())
