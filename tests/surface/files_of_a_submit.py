"""Which of Fanfold's files one `submit` on this machine goes through: `python -m tests.surface.files_of_a_submit`.

A profile function in the caller's process, and in every process that it starts (by a `sitecustomize` of its own), notes
the file of each function of Fanfold's that is called. Bodies of modules and classes do not count, nor what they call as
they are imported: an import is no hop.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "client" / "fanfold"

#: Written at once, not as the process ends: workers are killed.
_RECORDER = """
import os, sys, threading
_package, _notes, _seen = os.environ["TRACE_PACKAGE"], os.environ["TRACE_NOTES"], set()
os.environ.setdefault("TRACE_CALLER", str(os.getpid()))
_IS_A_FUNCTION = 1  # CO_OPTIMIZED: the bodies of modules and of classes have it not
def _is_imported(frame):
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(_package):
            return True
        frame = frame.f_back
    return False
def _note(frame, event, argument):
    name = frame.f_code.co_filename
    if event != "call" or name in _seen or not name.startswith(_package):
        return
    if frame.f_code.co_flags & _IS_A_FUNCTION and not _is_imported(frame):
        _seen.add(name)
        side = "caller" if os.environ["TRACE_CALLER"] == str(os.getpid()) else "worker"
        with open(_notes, "a") as notes:
            notes.write(side + " " + name + "\\n")
threading.setprofile(_note)
sys.setprofile(_note)
"""

_PROGRAM = """
import fanfold

@fanfold.udf
def squared(x: int):
    return x * x

assert list(fanfold.submit(squared, range(20))["result"]) == [x * x for x in range(20)]
"""


def files_of_a_submit() -> dict[str, set[str]]:
    """The files of Fanfold's in which functions ran, relative to the package, in the `caller` and in the `worker`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "sitecustomize.py").write_text(_RECORDER)
        program, notes = folder / "program.py", folder / "notes.txt"
        program.write_text(_PROGRAM)
        environment = {
            **os.environ,
            "FANFOLD_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join([scratch, str(ROOT / "client")]),
            "TRACE_PACKAGE": str(PACKAGE),
            "TRACE_NOTES": str(notes),
        }
        subprocess.run([sys.executable, str(program)], env=environment, check=True, timeout=120)
        found: dict[str, set[str]] = {"caller": set(), "worker": set()}
        for line in notes.read_text().splitlines():
            side, _, name = line.partition(" ")
            found[side].add(str(Path(name).relative_to(PACKAGE)))
        return found


def main() -> None:
    """Print them, with how many there are."""
    found = files_of_a_submit()
    for side, names in found.items():
        print(f"{side}: {len(names)} files", *sorted(names), sep="\n  ")
    print(f"together: {len(set.union(*found.values()))} files")


if __name__ == "__main__":
    main()
