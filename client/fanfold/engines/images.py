"""What an image that a UDF names is for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fanfold.errors import InputError, UnknownInstanceType

if TYPE_CHECKING:
    from fanfold.engines.base import Description


#: What a machine of a deployment's own is taken for where there are no machines: all that this one has.
_STAND_IN = "large"


def check_image(described: Description, machine: str | None, *, quiet: bool = False) -> str | None:
    """The machine, or what stands in for it here.

    Raises `InputError` where an image that has a name is not for that machine, or not for realtime runs.
    """
    name, machines = described.image_name, described.instance_types
    if not described.has_machines:
        if not quiet:
            sys.stderr.write(f"fanfold: the image {name} is a deployment's; here runs have this machine's packages.\n")
        return machine if machine in (None, "realtime", *machines) else _STAND_IN
    some = ", ".join(machines)
    if machine in (None, "realtime") and not described.has_realtime:
        raise InputError(
            f"The image {name!r} is for machines alone: it has no function for realtime runs.",
            next_step=f"name a machine, instance_type={next(iter(machines), '')!r} for example; it is for {some}.",
        )
    if machine not in (None, "realtime", *machines):
        raise UnknownInstanceType(
            f"The image {name!r} of this deployment is not for the machine {machine!r}.",
            next_step=f"it is for {some}; others are a matter of the setting `images`."
            if some
            else "it has a function for realtime runs alone: leave instance_type out.",
        )
    return machine
