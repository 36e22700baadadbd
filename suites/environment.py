"""The virtual environments of the suites and the suites themselves, made on first use and kept outside git."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What is fetched, made and reported between runs; `.venv*/` is in .gitignore.
CACHE = Path(os.environ.get("SUITES_CACHE", ROOT / ".venv-suites"))
#: The Python of the table; `SUITES_PYTHON` names another. CPython's tests are those of the version that runs them.
OF_TABLE = "3.13"
PYTHON = os.environ.get("SUITES_PYTHON") or OF_TABLE
_OF_PYTHON = "" if PYTHON == OF_TABLE else f"-{PYTHON}"
#: From 3.1.1 on cloudpickle's sdist comes without its tests.
CLOUDPICKLE_TESTS = "3.1.0"
PACKAGES = (
    *("cloudpickle", "loky", "joblib", "scikit-learn", "dask[array,dataframe]", "xarray", "scipy", "emcee"),
    *("nevergrad", "adaptive", "pytest", "pytest-timeout", "psutil", "tornado", "threadpoolctl", "ipython"),
    *("attrs", "matplotlib", "sympy", "numba", "toolz", "dill", "pathos"),
)


class NotAvailable(Exception):
    """This machine does not have what a row needs: the message says what."""


def fanfold_python() -> Path:
    """A Python with Fanfold as it is in this folder and with the suites' packages."""
    return _environment(CACHE / f"main{_OF_PYTHON}", ("--editable", str(ROOT), *PACKAGES))


def fused_python() -> Path:
    """A Python with Fused itself, as the peer."""
    return _environment(CACHE / f"fused{_OF_PYTHON}", ("fused==2.9.5", "pandas"))


def cloudpickle_tests() -> Path:
    """The folder that holds cloudpickle's `tests` package."""
    folder = _sdist("cloudpickle", CLOUDPICKLE_TESTS)
    # The tests are to use the cloudpickle that is installed, not the one beside them.
    shutil.rmtree(folder / "cloudpickle", ignore_errors=True)
    installed = folder / f"installed{_OF_PYTHON}"
    if not installed.exists():  # a package that some of the tests are about
        _run([fanfold_python(), "-m", "pip", "install", "-q", "--no-deps", folder / "tests" / "cloudpickle_testpkg"])
        installed.touch()
    return folder


def loky_tests() -> Path:
    """The folder that holds loky's `tests` package, of the loky that is installed."""
    asked = "import loky; print(loky.__version__)"
    version = subprocess.check_output([fanfold_python(), "-c", asked], text=True).strip()
    folder = _sdist("loky", version)
    shutil.rmtree(folder / "loky", ignore_errors=True)  # as above
    return folder


def _sdist(package: str, version: str) -> Path:
    """The folder of a package's sources, as PyPI has them."""
    folder = CACHE / f"{package}-{version}"
    if not folder.exists():
        constraint = CACHE / "flit.txt"
        constraint.write_text("flit_core<4\n")  # what cloudpickle's was written for
        _run(
            [
                *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", package),
                *("--dest", CACHE, f"{package}=={version}"),
            ],
            # Newer releases of pip take another name for what a build may use.
            env={**os.environ, "PIP_CONSTRAINT": str(constraint), "PIP_BUILD_CONSTRAINT": str(constraint)},
        )
        with tarfile.open(next(CACHE.glob(f"{package}-{version}.tar.gz"))) as archive:
            archive.extractall(CACHE, filter="data")
    return folder


def dill_tests() -> Path:
    """The folder that holds dill's tests: it is installed with them."""
    return _folder_of("dill") / "tests"


def _folder_of(package: str) -> Path:
    asked = f"import {package}; print(*{package}.__path__)"
    return Path(subprocess.check_output([fanfold_python(), "-c", asked], text=True).strip())


def cpython_tests() -> Path:
    """The folder that holds CPython's `test_concurrent_futures`: the interpreter's own, or Debian's test package."""
    asked = "import sysconfig; print(sysconfig.get_path('stdlib'))"
    stdlib = Path(subprocess.check_output([fanfold_python(), "-c", asked], text=True).strip())
    folder = stdlib / "test" / "test_concurrent_futures"
    if not folder.exists():
        raise NotAvailable(f"{folder} is missing: install libpython{PYTHON}-testsuite")
    return folder


def _environment(folder: Path, wanted: tuple[str, ...]) -> Path:
    python = folder / "bin" / "python"
    named = " ".join(one for one in wanted if one != str(ROOT))  # one cache may serve several working copies
    stamp = folder / hashlib.sha256(named.encode()).hexdigest()[:12]
    if not stamp.exists():
        print(f"making the environment {folder.name} (once)", file=sys.stderr, flush=True)
        if not python.exists():
            _run([_interpreter(), "-m", "venv", folder])
        _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted])
        stamp.touch()
    return python


def _interpreter() -> str:
    """A Python of the suites' version that starts: a shim of pyenv may stand on the path and not start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{PYTHON}"), *sorted(map(str, pyenv.glob(f"{PYTHON}.*/bin/python")))]
    for path in filter(None, candidates):
        said = subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stdout
        if said.startswith(f"Python {PYTHON}."):
            return path
    raise NotAvailable(f"no Python {PYTHON} on this machine")


def _run(command: list[str | Path], **more: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotAvailable(f"{' '.join(map(str, command[:4]))} failed: {' '.join(last)}")
