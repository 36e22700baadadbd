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

OTHER_WAYS = {
    "declarative_base": """
from sqlalchemy.orm import declarative_base
Base = declarative_base()
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)
""",
    "dataclass": """
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
class Base(MappedAsDataclass, DeclarativeBase): ...
class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    name: Mapped[str]
""",
    "imperatively": """
from sqlalchemy.orm import registry
known = registry()
users = sa.Table(
    "users", known.metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String)
)
class User:
    def __init__(self, name): self.name = name
known.map_imperatively(User, users)
class Base: metadata = known.metadata
""",
    "decorator": """
from sqlalchemy.orm import registry
known = registry()
@known.mapped
class User:
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String)
    def __init__(self, name): self.name = name
class Base: metadata = known.metadata
""",
    "sqlmodel": """
from sqlmodel import Field, SQLModel
class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
Base = SQLModel
""",
}

#: Classes with all that SQLAlchemy has for them; `run` says what they are by what they do.
RICH = """
from __future__ import annotations
import datetime, enum
from typing import Annotated, Optional
import fanfold, sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, String, Table, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (DeclarativeBase, Mapped, Session, column_property, configure_mappers, declared_attr,
    mapped_column, relationship, sessionmaker, validates)
from sqlalchemy.types import TypeDecorator

LIMIT = 30
key = Annotated[int, mapped_column(primary_key=True)]
short = Annotated[str, LIMIT]
COUNTS = {"inserted": 0, "mapped": 0}

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Upper(TypeDecorator):
    impl = String
    cache_ok = True
    def process_bind_param(self, value, dialect):
        return value.upper() if value else value

def now():
    return datetime.datetime(2020, 1, LIMIT)

class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention={"ix": "ix_%(column_0_label)s"})
    type_annotation_map = {short: String(LIMIT)}

class Stamped:
    created: Mapped[datetime.datetime] = mapped_column(default=now)
    @declared_attr.directive
    def __tablename__(cls) -> str:
        return cls.__name__.lower()

@event.listens_for(sa.orm.Mapper, "instrument_class")
def count(mapper, cls):
    COUNTS["mapped"] += 1

tags = Table("tags", Base.metadata, Column("user_id", ForeignKey("user.id"), primary_key=True))

class User(Stamped, Base):
    id: Mapped[key]
    name: Mapped[short]
    code: Mapped[Optional[str]] = mapped_column(Upper)
    colour: Mapped[Colour] = mapped_column(default=Colour.RED)
    kind: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(back_populates="user", order_by="Post.id")
    titles = association_proxy("posts", "title")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}
    SEEN = []
    @hybrid_property
    def shout(self):
        return self.name + "!"
    @validates("name")
    def _check(self, key, value):
        if not value:
            raise ValueError("empty")
        return value
    def greet(self):
        return f"{HELLO} {self.name}"

HELLO = "hello"

class Admin(User):
    __tablename__ = None
    __mapper_args__ = {"polymorphic_identity": "admin"}
    level: Mapped[Optional[int]]

class Post(Stamped, Base):
    id: Mapped[key]
    title: Mapped[str] = mapped_column(String(LIMIT), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User] = relationship(back_populates="posts")

def goodbye(self):
    return f"bye {self.name}"

User.loud = column_property(User.__table__.c.name + "?")
User.goodbye = goodbye
greet, users, metadata = User.greet, User.__table__, Base.metadata
BY_NAME = select(User).order_by(User.name)
COLUMNS = {"name": User.name}

@event.listens_for(User, "before_insert", propagate=True)
def stamp(mapper, connection, target):
    COUNTS["inserted"] += 1

@event.listens_for(Engine, "connect")
def foreign_keys(connection, record):
    connection.execute("PRAGMA foreign_keys=ON")

configure_mappers()
Sessions = sessionmaker()
User.SEEN.append("here")

class Apart(DeclarativeBase): ...
class Unused(Apart):
    __tablename__ = "unused"
    id = Column("id", sa.Integer, primary_key=True)
    engine = sa.create_engine("sqlite://")

def run(count: int):
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with Sessions(bind=engine) as session:
        session.add_all([User(name=f"n{n}", code="ab", posts=[Post(title="t")]) for n in range(count)])
        session.add(Admin(name="root", level=3))
        session.commit()
        found = session.scalars(BY_NAME).all()
        try:
            User(name="")
        except ValueError as error:
            empty = str(error)
        first = found[0]
        same = (users is User.__table__, metadata is Base.metadata, greet is User.greet, User.goodbye is goodbye,
            COLUMNS["name"] is User.name, first.posts[0].user is first, first.colour is Colour.RED)
        return repr((
            [u.shout for u in found], [type(u).__name__ for u in found], first.loud, first.code, list(first.titles),
            first.created, first.greet(), first.goodbye(), same, sorted(metadata.tables), empty, User.__module__,
            session.execute(sa.text("PRAGMA foreign_keys")).scalar(), COUNTS["inserted"], User.SEEN,
            session.scalars(select(User.shout)).first(), User.__table__.c.name.type.length, COUNTS["mapped"],
        ))

if __name__ == "__main__":
    there, = fanfold.submit(run, [2], collect=False).results()
    here = run(2)
    print(here == there, here if here == there else (here, there))
"""

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
    command = [*install, "sqlalchemy>=2", "sqlmodel", "ipython", "--editable", "."]
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


@pytest.mark.parametrize("way", [MODELS, *OTHER_WAYS.values()], ids=["DeclarativeBase", *OTHER_WAYS])
def test_classes_of_the_udf_s_own_file_are_mapped_by_the_same_statements(python, home, tmp_path, way):
    (tmp_path / "script.py").write_text(IMPORTS + way + SCRIPT)
    done = _run(python, tmp_path)
    assert done.stdout.splitlines() == ["[['n0'], ['n0', 'n1']]", "['n0', 'n1']"], done.stderr


def test_relations_events_types_and_whatever_else_hangs_together_with_a_class_is_there_and_the_same(
    python, home, tmp_path
):
    (tmp_path / "script.py").write_text(RICH)
    done = _run(python, tmp_path)
    assert done.stdout.startswith("True "), done.stderr + done.stdout


def test_objects_of_such_classes_are_arguments_and_results(python, home, tmp_path):
    script = """
def rename(user): return User(name=user.name * 2), type(user) is User
if __name__ == "__main__":
    (made, known), = fanfold.submit(rename, [{"user": User(name="a")}], collect=False).results()
    print(type(made) is User, made.name, known)
"""
    (tmp_path / "script.py").write_text(IMPORTS + MODELS + script)
    done = _run(python, tmp_path)
    assert done.stdout.splitlines() == ["True aa True"], done.stderr


def test_a_table_that_no_statement_of_the_file_s_gives_again_is_never_taken_for_the_same(python, home, tmp_path):
    change = """
def widen():
    User.__table__.append_column(sa.Column("late", sa.Integer))

if __name__ == "__main__":
    print(fanfold.submit(names, [1], collect=False).results())
    widen()
    fanfold.submit(names, [1], collect=False, max_retry=0).results()
"""
    (tmp_path / "script.py").write_text(IMPORTS + MODELS + SCRIPT.partition("if __name__")[0] + change)
    done = _run(python, tmp_path)
    assert done.stdout.splitlines() == ["[['n0']]"]
    assert "'User', which SQLAlchemy has mapped, is not what its statements in the UDF's file give" in done.stderr
    assert "Column('late', Integer(), table=<users>)" in done.stderr


def test_classes_that_a_function_has_made_are_made_by_it_again_where_the_file_names_them(python, home, tmp_path):
    inner = "".join(f"    {line}\n" for line in MODELS.strip().split("\n"))
    script = f"{IMPORTS}def made():\n{inner}    return Base, User\nBase, User = made()\n{SCRIPT}"
    (tmp_path / "script.py").write_text(script.partition("    with fanfold.Executor")[0])
    done = _run(python, tmp_path)
    assert done.stdout.splitlines() == ["[['n0'], ['n0', 'n1']]"], done.stderr


def test_classes_that_no_name_of_the_file_leads_to_are_refused_with_what_works(python, home, tmp_path):
    inner = "".join(f"    {line}\n" for line in MODELS.strip().split("\n"))
    script = f"{IMPORTS}def made():\n{inner}    def names(n): return User.__tablename__\n    return names\n"
    (tmp_path / "script.py").write_text(script + "fanfold.submit(made(), [1], collect=False)\n")
    error = _run(python, tmp_path).stderr
    assert "'names' uses 'User', a class that SQLAlchemy has mapped in the UDF's own file" in error
    assert "Next: put 'User' and what is mapped with it into a module of your project" in error


def test_an_executor_maps_them_as_well_and_one_object_stays_one(python, home, tmp_path):
    script = (
        RICH.partition("if __name__")[0]
        + """
def echo(user): return user, type(user) is User, user.greet(), user.colour

if __name__ == "__main__":
    with fanfold.Executor(1) as executor:
        there = executor.submit(run, 2).result()
        user, known, said, colour = executor.submit(echo, User(name="z", colour=Colour.BLUE)).result()
        print(type(user) is User, user.name, known, said, colour is Colour.BLUE, user.colour is Colour.BLUE)
        print(executor.submit(lambda kind: (kind is User, kind), User).result() == (True, User))
        print(list(executor.map(lambda n: str(BY_NAME.limit(n)).split()[-1], range(2))))
    print(run(2) == there)
"""
    )
    (tmp_path / "script.py").write_text(script)
    done = _run(python, tmp_path)
    lines = ["True z True hello z True True", "True", "[':param_1', ':param_1']", "True"]
    assert done.stdout.splitlines() == lines, done.stdout + done.stderr


def test_an_executor_refuses_a_class_that_no_name_leads_to(python, home, tmp_path):
    inner = "".join(f"    {line}\n" for line in MODELS.strip().split("\n"))
    script = f"{IMPORTS}def made():\n{inner}    def names(n): return User.__tablename__\n    return names\n"
    end = "if __name__ == '__main__':\n    with fanfold.Executor(1) as executor: executor.submit(made(), 1).result()\n"
    (tmp_path / "script.py").write_text(script + end)
    error = _run(python, tmp_path).stderr
    assert "User', which SQLAlchemy has mapped, and to which no name at the top of a script leads" in error
    assert "into a module of your project" in error


CELLS = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def cell(text):
    done = shell.run_cell(text, store_history=True)
    return done.error_in_exec
base, user, names = "class Base(DeclarativeBase): ...", {user!r}, {names!r}
submit = "print(fanfold.submit(names, [1], collect=False).results())"
for text in ({imports!r}, base, user, names, submit):
    assert cell(text) is None
wider = user + "    other: Mapped[str] = mapped_column(default='x')\\n"
for text in (base, wider, names.replace("User.name)", "User.other)"), submit):
    assert cell(text) is None
assert cell(base) is None
print("REFUSED", cell(submit))
"""


def test_cells_of_a_notebook_that_were_executed_again_count_as_they_are_now(python, home, tmp_path):
    imports = IMPORTS + MODELS.partition("class Base")[0]
    user = "class User" + MODELS.partition("class User")[2]
    text = CELLS.format(user=user, imports=imports, names=SCRIPT.partition("if __name__")[0])
    (tmp_path / "script.py").write_text(text)
    lines = [line for line in _run(python, tmp_path).stdout.splitlines() if line.startswith(("[[", "REFUSED"))]
    assert lines[:2] == ["[['n0']]", "[['x']]"]
    assert "there is no telling which 'Base', for there are several, has made 'User'" in lines[2]


def test_what_is_given_on_a_command_line_is_mapped_again(python, home, tmp_path):
    text = IMPORTS + MODELS + SCRIPT.partition("    with fanfold.Executor")[0]
    around = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, "-c", text], cwd=tmp_path, env=around, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["[['n0'], ['n0', 'n1']]"], done.stderr


def test_no_function_of_the_file_s_is_called_again_for_a_table_or_a_query_alone(python, home, tmp_path):
    script = """
import fanfold, os, sqlalchemy as sa
metadata = sa.MetaData()
def made():
    print("made", os.getpid(), flush=True)
    return sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True))
users = made()
query = sa.select(users)
def sql(n): return str(query), users.metadata is metadata, query.get_final_froms()[0] is users
if __name__ == "__main__":
    job = fanfold.submit(sql, [1], collect=False).wait()
    print(job.results(), "made" in job.logs())
"""
    (tmp_path / "script.py").write_text(script)
    done = _run(python, tmp_path)
    assert done.stdout.count("made") == 1, done.stdout + done.stderr
    assert "[('SELECT users.id \\nFROM users', True, True)] False" in done.stdout, done.stdout + done.stderr
