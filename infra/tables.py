"""The docs' tables, made from what they describe. `python -m infra.tables` writes them anew; a test compares."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fanfold.contract.instances import INSTANCE_TYPES, run_memory_mib
from infra.context import allowed_values
from infra.settings import ExtraInstanceType, OwnImage, Settings

DOCS = Path(__file__).parents[1] / "docs"


def settings_table() -> str:
    """Every setting: its default, what it takes, what it is for."""
    defaults = Settings()
    rows = [
        (f"`{name}`", _shown(getattr(defaults, name)), _escaped(allowed_values(name)), _escaped(str(field.description)))
        for name, field in Settings.model_fields.items()
    ]
    return _markdown(("setting", "default", "allowed", "what it is for"), rows)


def machine_table() -> str:
    """The fields of one entry of `extra_instance_types`."""
    rows = [
        (f"`{name}`", "required" if field.is_required() else _shown(field.default))
        for name, field in ExtraInstanceType.model_fields.items()
    ]
    return _markdown(("field", "default"), rows)


def image_table() -> str:
    """The fields of one entry of `images`."""
    rows = [
        (f"`{name}`", _shown(field.default), _escaped(str(field.description)))
        for name, field in OwnImage.model_fields.items()
    ]
    return _markdown(("field", "default", "what it is for"), rows)


def memory_table() -> str:
    """What a run on each instance type really gets."""
    rows = [
        (
            f"`{name}`",
            f"{it.vcpus} vCPU, {it.memory_gib:g} GiB",
            f"`{it.host.name}`",
            str(it.host.vcpus),
            f"{run_memory_mib(it):,} MiB",
            f"${it.host.usd_per_hour:g}",
        )
        for name, it in INSTANCE_TYPES.items()
    ]
    return _markdown(("instance type", "stands for", "host", "host's vCPUs", "a run gets", "an hour"), rows)


TABLES = {"settings": settings_table, "machine": machine_table, "image": image_table, "memory": memory_table}


def filled(text: str) -> str:
    """A page with every table between its marks made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", "<!-- end -->"
        made = f"{begin}\n{table()}\n{end}".replace("\\", "\\\\")  # a backslash would be the pattern's
        text = re.sub(f"{begin}.*?{end}", made, text, flags=re.DOTALL)
    return text


def _shown(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(filled(page.read_text()))
