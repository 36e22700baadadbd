"""`make dist`: the wheel in dist/ is enough: alone in a new environment, it runs the README's first example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def first_example() -> str:
    """The README's first program, as a script that prints what it makes."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1] + "\nprint(frame.result.sum())\n"


def main() -> None:
    """Install the wheel, and run the example and the command line from an empty folder."""
    [wheel] = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
        (folder / "example.py").write_text(first_example(), encoding="utf-8")
        environment = {**os.environ, "FANFOLD_HOME": str(folder / "home")}
        environment.pop("PYTHONPATH", None)
        for words in (["example.py"], ["-m", "fanfold", "--version"], ["-m", "fanfold", "jobs"]):
            sys.stdout.write(f"$ python {' '.join(words)}\n")
            sys.stdout.flush()
            subprocess.run([python, *words], cwd=folder, env=environment, check=True)
    sys.stdout.write(f"{wheel.name} is enough by itself\n")


if __name__ == "__main__":
    main()
