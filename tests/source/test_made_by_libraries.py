"""What libraries have made of a user's code: their wrappers, their objects, and the statements that set them up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fanfold.source.modules import called_imports
from fanfold.source.rebuild import by_keywords
from tests.source.conftest import Desk


def test_a_counter_that_a_statement_has_filled_is_not_filled_again(desk: Desk) -> None:
    text = """
        import collections
        seen = collections.defaultdict(lambda: collections.defaultdict(int))
        seen["a"]["b"] += 1
        import argparse
        args = argparse.Namespace()
        args.rate = 1
        def parse():
            args.rate = 5
        parse()
        def main():
            return seen["a"]["b"], args.rate
    """
    assert desk.result(text) == (1, 5)


def test_statements_that_come_later_in_a_script_are_not_executed_there_before_they_are_here(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import decimal\n"
        "from fanfold.source.capture import Captured\n"
        "def main():\n"
        "    return decimal.Decimal(1) / 3\n"
        "decimal.getcontext().prec = 5\n"
        "print(*(text for text, _ in Captured(main).taken))\n"
        "decimal.getcontext().prec = 2\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "decimal.getcontext().prec = 5"


def test_a_method_of_a_module_that_calls_itself_otherwise_goes_by_name(desk: Desk) -> None:
    # `_collections_abc` says that its name is `collections.abc`: made again there, it would stand in that one's place.
    text = """
        import functools
        @functools.singledispatch
        def main(x):
            return "thing"
        @main.register
        def _(x: int):
            return "number"
    """
    bundle = desk.capture(text)
    assert "collections.abc" not in bundle.graph.replace('"import","collections.abc"', "")
    assert desk.result(text, 1) == "number"


@pytest.mark.parametrize(
    "around",
    [
        "import functools\n@functools.singledispatch\ndef main(x, y=2): return x, y",
        "import functools\ndef deco(f):\n @functools.wraps(f)\n def w(*args): return f(*args)\n return w\n"
        "@deco\ndef main(x, y=2): return x, y",
        "import functools\nclass Deco:\n def __init__(self, f): functools.update_wrapper(self, f)\n"
        " def __call__(self, *args): return self.__wrapped__(*args)\n@Deco\ndef main(x, y=2): return x, y",
    ],
)
def test_a_wrapper_that_takes_its_arguments_in_order_gets_them_in_order(around: str) -> None:
    namespace: dict[str, object] = {"__name__": "around"}
    exec(around, namespace)
    call = by_keywords(namespace["main"])
    assert (call(x=1), call(x=1, y=3), call(y=3, x=1)) == ((1, 2), (1, 3), (1, 3))


def test_an_object_whose_attributes_are_in_its_state_gets_its_state_first(desk: Desk) -> None:
    text = """
        class Settings:
            def __init__(self): self.known = {"a": 1}
            def __getattr__(self, name): return self.known[name]
        settings = Settings()
        def main():
            return settings.a
    """
    assert desk.result(text) == 1


def test_a_dataclass_whose_mark_of_no_default_is_a_copy(desk: Desk) -> None:
    # As loky leaves it in the process that gets a result of the class.
    text = """
        import copy, dataclasses, pickle
        @dataclasses.dataclass
        class Row:
            tags: list = dataclasses.field(default_factory=list)
        Row.__dataclass_fields__["tags"].default = type(dataclasses.MISSING)()
        def main():
            return Row().tags
    """
    assert desk.result(text) == []


@pytest.mark.parametrize(
    ("call", "module"),
    [
        ('import_module(".two", "plugins")', "plugins.two"),
        ('import_module(".two", package="plugins")', "plugins.two"),
        ('import_module("..two", "plugins.deep")', "plugins.two"),
        ('import_module(".two", __package__)', "here.two"),
        ('import_module("two")', "two"),
    ],
)
def test_a_module_that_a_call_names_is_looked_for_in_the_package_that_is_given(call: str, module: str) -> None:
    found = called_imports(ast.parse(call), "here")
    assert [each.module for each in found] == [module]


def test_a_module_of_a_package_that_a_call_gives_travels(desk: Desk) -> None:
    desk.write("plugins/__init__.py", "")
    desk.write("plugins/two.py", "VALUE = 2\n")
    desk.write("plugins/deep/__init__.py", "from ..two import VALUE\nfrom .. import two as one\n")
    text = """
        import importlib
        def main():
            return importlib.import_module(".two", "plugins").VALUE, importlib.import_module("plugins.deep").one.VALUE
    """
    assert {"plugins.two", "plugins.deep"} <= {source.module for source in desk.capture(text).sources}
    assert desk.result(text) == (2, 2)


def test_a_function_that_a_library_has_written_beside_its_module_goes_by_name(desk: Desk) -> None:
    # As SQLAlchemy's decorators write them: in a namespace of its own that has the module's name.
    desk.write(
        "../site-packages/written.py",
        """
        space = {"__name__": "written"}
        exec("def engine(x): return x + 1", space)
        engine = space["engine"]
        """,
    )
    bundle = desk.capture("import written\nfrom written import engine\ndef main(x): return written.engine(engine(x))\n")
    assert '["import","written","engine"]' in bundle.graph
    assert not bundle.needs
    assert [source.module for source in bundle.sources] == ["work"]


def test_of_two_statements_of_one_name_the_one_with_the_class_s_bases_has_made_it(desk: Desk) -> None:
    text = """
        import attrs, pydantic
        class Box(pydantic.BaseModel):
            side: int
        @attrs.define
        class Box:
            side: int
        def main(): return attrs.asdict(Box(2))
    """
    assert desk.elsewhere(desk.capture(text)) == {"side": 2}


JINJA = """
    from jinja2 import DictLoader, Environment, Template
    plain = Template("hi {{ x|upper }}{% for n in range(2) %} {{ n }}{% endfor %}")
    pages = Environment(loader=DictLoader({"page": "page {{ y }}"}))
    def twice(value): return value * 2
    pages.filters["twice"] = twice
    made = pages.from_string("{{ x|twice }} {% include 'page' %}")
    page = pages.get_template("page")
    def main():
        return [plain.render(x="k"), made.render(x="k", y=1), page.render(y=2), page.environment is pages,
                pages.get_template("page").render(y=3), pages.filters["twice"] is twice]
"""


def test_templates_and_environments_of_jinja_are_what_they_are(desk: Desk) -> None:
    bundle = desk.capture(JINJA)
    assert desk.elsewhere(bundle) == ["hi K 0 1", "kk page 1", "page 2", True, "page 3", True]
    assert ("Python", f"{sys.version_info.major}.{sys.version_info.minor}") in {each[1:] for each in bundle.needs}
    assert desk.capture(JINJA).code_hash == bundle.code_hash
