"""What can be asked for: instance-types."""

from __future__ import annotations

from fanfold.cli import options
from fanfold.cli.output import Column, note, print_json, print_table
from fanfold.cli.records import instance_type_record

_COLUMNS = (
    Column("name"),
    Column("vCPUs", right=True),
    Column("memory", right=True),
    Column("served by"),
    Column("per hour", right=True),
    Column("Spot", right=True),
)


def instance_types(engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """List the machines that --instance-type takes.

    Each with what its name stands for, and what it costs on AWS, on demand and as a Spot machine; on this machine they
    cost nothing. The machine that serves it may have more vCPUs and memory.
    """
    from fanfold.engines.select import engine_for
    from fanfold.pricing import prices

    charged = prices()
    known = engine_for(engine).describe().instance_types.values()
    if as_json:
        print_json([instance_type_record(machine, charged) for machine in known])
        return
    rows = [
        (
            machine.name,
            f"{machine.vcpus:,}",
            f"{machine.memory_gib:,g} GiB",
            machine.host.name,
            # To the cent, the small ones would all look alike.
            *(f"${machine.host.price(charged, spot=spot):,.3f}" for spot in (False, True)),
        )
        for machine in known
    ]
    print_table(_COLUMNS, rows)
    note(f"Prices of {charged.as_of} in {charged.region}.")
