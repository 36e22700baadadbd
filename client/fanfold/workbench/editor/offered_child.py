"""What the process that reads long texts does: it is asked by `offered`."""

from __future__ import annotations

from fanfold.workbench.asked_process import answer
from fanfold.workbench.editor.udf_source import offered_in


def main() -> None:
    """Answer what the page asks."""
    answer({"offered_in": offered_in}, 1)
