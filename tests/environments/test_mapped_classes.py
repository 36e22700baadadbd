"""Classes that SQLAlchemy maps to tables, in an environment of their own: Fanfold's does not have it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
class Base(DeclarativeBase): ...
class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
"""

IMPORTS = "import fanfold, sqlalchemy as sa\nfrom sqlalchemy.orm import Session\n"

SCRIPT = """
def names(count):
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([User(name=f"n{n}") for n in range(count)])
        return list(session.scalars(sa.select(User.name).order_by(User.id)))

if __name__ == "__main__":
    print(fanfold.submit(names, [1, 2], collect=False).results())
    with fanfold.Executor(1) as executor:
        print(executor.submit(names, 2).result())
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """A Python with Fanfold as it is here and SQLAlchemy."""
    python = str(tmp_path_factory.mktemp("sqlalchemy") / "bin" / "python")
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(Path(python).parents[1])], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", python, "--constraint", "constraints.txt"]
    command = [*install, "sqlalchemy>=2", "--editable", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"SQLAlchemy cannot be installed here: {done.stderr.strip()[-300:]}")
    return python


def _run(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    around = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([python, "script.py"], cwd=folder, env=around, capture_output=True, text=True, check=False)


def test_classes_of_a_module_of_the_project_travel_with_it(python, home, tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "script.py").write_text(f"{IMPORTS}from models import Base, User\n{SCRIPT}")
    done = _run(python, tmp_path)
    assert done.stdout.splitlines() == ["[['n0'], ['n0', 'n1']]", "['n0', 'n1']"], done.stderr


def test_classes_of_the_udf_s_own_file_are_refused_with_what_works(python, home, tmp_path):
    (tmp_path / "script.py").write_text(IMPORTS + MODELS + SCRIPT)
    error = _run(python, tmp_path).stderr
    assert "'names' uses 'Base', a class that SQLAlchemy has mapped in the UDF's own file" in error
    assert "Next: put 'Base' and what is mapped with it into a module of your project" in error
