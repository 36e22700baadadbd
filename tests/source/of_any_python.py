"""What is captured by one Python and made by another, and values that one writes and another reads.

    python of_any_python.py write FILE     captures and encodes all that this Python can say
    python of_any_python.py read FILE      makes and decodes it, and prints what became of it, as JSON

No package but Fanfold is needed: any interpreter of this machine can do it.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import warnings
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2] / "client"))

import fanfold
from fanfold.codec import decode_json, encode_json
from fanfold.source.capture import capture
from fanfold.source.load import Bundle, load


class Case(NamedTuple):
    """The top of a file, what a function in it returns, its value, and the Pythons that can say it."""

    top: str
    returned: str
    value: Any
    first: int = 10
    last: int = 99


#: What all Pythons that can say it make of it, exactly; what only some can say is refused by the others.
FUNCTIONS = {
    "a closure": Case(
        """
        def make():
            n = 0
            def up(by):
                nonlocal n
                n += by
                return n
            return up
        up = make()
        up(5)
        """,
        "up(1)",
        6,
    ),
    "lambdas of a comprehension": Case(
        "fs = [lambda v, k=k: v + k for k in range(3)]", "[f(1) for f in fs]", [1, 2, 3]
    ),
    "lambdas of a class": Case("class A:\n    fs = [(lambda v: v + 1) for _ in '12']", "[f(1) for f in A.fs]", [2, 2]),
    "super": Case(
        "class A:\n    def m(self): return 1\nclass B(A):\n    def m(self): return super().m() + len([__class__])",
        "B().m()",
        2,
    ),
    "annotations": Case(
        "class A:\n    a: int\n    b: 'str' = 'x'\ndef g(a: int, *b: str, c: 'float' = 1) -> list: ...",
        "str([A.__annotations__, g.__annotations__])",
        "[{'a': <class 'int'>, 'b': 'str'}, {'a': <class 'int'>, 'b': <class 'str'>, 'c': 'float',"
        " 'return': <class 'list'>}]",
    ),
    "a dataclass": Case(
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass P:\n    a: Nowhere\n"
        "    b: int = 3\np = P(1)",
        "[repr(p), P(1) == p]",
        ["P(a=1, b=3)", True],
    ),
    "a named tuple": Case(
        "import collections\nclass P(collections.namedtuple('P', 'a b')):\n    def s(self): return self.a + self.b\n"
        "p = P(1, 2)",
        "p.s()",
        3,
    ),
    "an Enum": Case(
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = enum.auto()\nF = enum.Enum('F', 'A B')\nkept = E.A",
        "[kept is E.A, E.B.value, F.B.value]",
        [True, 2, 2],
    ),
    "a flag": Case(
        "import enum\nclass E(enum.IntFlag):\n    A = 1\n    B = 2\nkept = E.A | E.B",
        "[kept is (E.A | E.B), repr(kept) == repr(E(3))]",
        [True, True],
    ),
    "a type variable": Case(
        "import typing\nT = typing.TypeVar('T')\nclass S(typing.Generic[T]): ...\ns = S[int]()",
        "str(s.__orig_class__).endswith('S[int]')",
        True,
    ),
    "a union": Case("U = int | str", "[isinstance(1, U), isinstance(b'', U)]", [True, False]),
    "a protocol": Case(
        "import typing\n@typing.runtime_checkable\nclass P(typing.Protocol):\n    def go(self) -> int: ...\n"
        "class A:\n    def go(self): return 1",
        "[isinstance(A(), P), isinstance(1, P)]",
        [True, False],
    ),
    "a cache": Case(
        "import functools\n@functools.lru_cache(maxsize=4)\ndef g(v): return v * 2\ng(3)",
        "[g(1), g.cache_info().maxsize]",
        [2, 4],
    ),
    "single dispatch": Case(
        "import functools\n@functools.singledispatch\ndef g(v): return 'o'\n@g.register\ndef _(v: int): return 'i'",
        "[g(1), g('')]",
        ["i", "o"],
    ),
    "a partial method": Case(
        "import functools\nclass A:\n    def m(self, a, b): return a + b\n    n = functools.partialmethod(m, 1)",
        "A().n(1)",
        2,
    ),
    "a cached property": Case(
        "import functools\nclass A:\n    @functools.cached_property\n    def p(self): return 5\na = A()\na.p",
        "[a.p, A().p]",
        [5, 5],
    ),
    "a generator": Case("import random\nr = random.Random(3)", "r.random()", 0.23796462709189137),
    "a pool": Case(
        "from concurrent.futures import ThreadPoolExecutor\np = ThreadPoolExecutor(1)", "[*p.map(abs, [-1])]", [1]
    ),
    "a pattern": Case("import re\nR = re.compile('(?i)a(?P<n>b)')", "R.match('Ab').group('n')", "b"),
    "the error of patterns": Case(
        "import re\ntry: re.compile('(')\nexcept re.error as error: kept = error, type(error)",
        "[isinstance(kept[0], re.error), kept[1] is re.error]",
        [True, True],
    ),
    "a path's class": Case("import pathlib\nP = pathlib.PurePosixPath", "str(P('a') / 'b')", "a/b"),
    "a forward reference": Case("import typing\nL = typing.List['int']", "L.__args__[0].__forward_arg__", "int"),
    "an encoder": Case("import json\nE = json.JSONEncoder(indent=1)", "E.encode([1])", "[\n 1\n]"),
    "a wrapper of text": Case(
        "import textwrap\nW = textwrap.TextWrapper(width=5)", "W.wrap('aa bb cc')", ["aa bb", "cc"]
    ),
    "a formatter": Case("import string\nF = string.Formatter()", "F.format('{}', 1)", "1"),
    "what is added to what C makes": Case(
        "import collections, decimal, pathlib\nclass D(decimal.Decimal): ...\nclass G(collections.defaultdict): ...\n"
        "class P(type(pathlib.PurePath())): ...\nd, g, p = D('1.5'), G(list, k=[1]), P('a/b')\n"
        "for each in (d, g, p): each.tag = [1]\nd.same = g.tag",
        "[str(d), dict(g), str(p), d.tag, g.tag is d.same, p.tag]",
        ["1.5", {"k": [1]}, "a/b", [1], True, [1]],
    ),
    "a dict of the user's": Case("import collections\nU = collections.UserDict(a=1)", "U['a']", 1),
    # What the standard library's classes keep has changed.
    "a parser of arguments": Case(
        "import argparse\nP = argparse.ArgumentParser(prog='p')\nP.add_argument('--n', type=int)",
        "P.parse_args(['--n', '4']).n",
        4,
    ),
    "a parser of settings": Case(
        "import configparser\nC = configparser.ConfigParser()\nC.read_string('[a]\\nx = 1')",
        "[C.read_string('[b]\\ny=2'), C['a']['x'], C['b']['y']]",
        [None, "1", "2"],
    ),
    "a parser of HTML of the user's": Case(
        "from html.parser import HTMLParser\nclass H(HTMLParser):\n    def __init__(self):\n"
        "        super().__init__()\n        self.t = []\n"
        "    def handle_starttag(self, tag, attrs): self.t.append(tag)\nh = H()",
        "[h.feed('<a><b>'), h.t]",
        [None, ["a", "b"]],
    ),
    "an adapter of logs": Case(
        "import logging\nL = logging.LoggerAdapter(logging.getLogger('q'), {'a': 1})",
        "L.process('m', {})[1]['extra']",
        {"a": 1},
    ),
    "what shortens": Case("import reprlib\nR = reprlib.Repr()", "R.repr([1, 2])", "[1, 2]"),
    "an email": Case(
        "import email.message\nM = email.message.EmailMessage()\nM['Subject'] = 'hi'",
        "[str(M['Subject']), len(M.as_bytes())]",
        ["hi", 13],
    ),
    "a cookie": Case("import http.cookies\nC = http.cookies.SimpleCookie('a=b')", "C['a'].OutputString()", "a=b"),
    # What only some of them can say, or have.
    "text within text": Case("def g(d): return f'{d['a']}'", "g({'a': 1})", "1", first=12),
    "type parameters": Case("def g[T](v: T) -> T: return v\nclass B[T]: v = 2", "[g(1), B.v]", [1, 2], first=12),
    "an alias": Case("type N = int | str", "[t.__name__ for t in N.__value__.__args__]", ["int", "str"], first=12),
    "a default of a type": Case("class D[T = int]: v = 3", "D.v", 3, first=13),
    "a group of errors": Case(
        "def g():\n    try: raise ExceptionGroup('g', [ValueError(1)])\n    except* ValueError: v = 1\n    return v",
        "g()",
        1,
        first=11,
    ),
    "errors without brackets": Case(
        "def g():\n    try: 1 / 0\n    except ValueError, ArithmeticError: return 1", "g()", 1, first=14
    ),
    "a template": Case("def g(x): return t'a{x}'.strings[0]", "g(1)", "a", first=14),
    "annotations that wait": Case(
        "class A:\n    a: Nowhere\n    b: int = 3",
        "str(A.__annotations__)",
        "{'a': 'Nowhere', 'b': <class 'int'>}",
        first=14,
    ),
    "what a statement set": Case(
        "class A:\n    def m(self): self.b = self.a = 1", "sorted(A.__static_attributes__)", ["a", "b"], first=13
    ),
    "a module that has come": Case("import tomllib", "tomllib.loads('a = 1')['a']", 1, first=11),
    "a name that has come": Case("from itertools import batched", "[*batched('ab', 1)]", [("a",), ("b",)], first=12),
    "an Enum of text": Case("import enum\nclass S(enum.StrEnum):\n    A = 'a'", "str(S.A)", "a", first=11),
    "a module that has gone": Case("import asyncore", "asyncore.__name__", "asyncore", last=11),
    "a name that has gone": Case("from cgi import parse_header", "parse_header('a; b=c')[0]", "a", last=12),
    "a pattern of before": Case(
        "import re\nR = re.compile('a(?i)b')",
        "bool(R.match('AB'))",
        True,
        last=10,
    ),
    "code without text": Case(
        "exec('def g(v): return v + 1')\nC = compile('1 + 1', 'x', 'eval')", "[g(1), eval(C)]", [2, 2]
    ),
}

#: Values as arguments and results, by expressions; each is the same object of its kind in all Pythons that take it.
VALUES = (
    "datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)",
    "decimal.Decimal('1.10')",
    "fractions.Fraction(1, 3)",
    "pathlib.PurePosixPath('a/b')",
    "[pathlib.Path, pathlib.PurePath]",
    "re.compile('a', re.I | re.X)",
    "re.error('bad', 'pattern', 1)",
    "re.error",
    "re.I | re.M",
    "signal.SIGTERM",
    "enum.EnumMeta",
    "collections.OrderedDict(a=1)",
    "collections.ChainMap({'a': 1}, {'b': 2})",
    "collections.UserDict(a=1)",
    "types.SimpleNamespace(a=[1])",
    "argparse.Namespace(a=1)",
    "functools.partial(int, base=2)",
    "statistics.NormalDist(1, 2)",
    "string.Template('$a')",
    "json.JSONEncoder(indent=2).indent",
    "array.array('d', [1.0])",
    "iter([1, 2])",
    "list[int]",
    "ValueError('a', 1)",
    "OSError(2, 'no', 'f')",
    "KeyError('k')",
    "json.JSONDecodeError('m', 'doc', 1)",
    "asyncio.TimeoutError('m')",
    "types.MethodType(max, 3)",
    "itertools.chain([1], [2])",
    "itertools.cycle([1, 2])",
    "configparser.ConfigParser()",
    "reprlib.Repr()",
    "http.cookies.SimpleCookie('a=b')",
    "traceback.FrameSummary('f', 1, 'n', line='l')",
    "typing.ForwardRef('int')",
    "ExceptionGroup('g', [ValueError(1)])",
)
_OF_VALUES = """
    argparse array asyncio collections configparser datetime decimal enum fractions functools http.cookies itertools
    json pathlib re reprlib signal statistics string traceback types typing
""".split()


def written() -> dict[str, Any]:
    """What this Python captures and encodes: bundles and texts by name, and which it cannot say."""
    minor = sys.version_info.minor
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        functions = {
            name: _captured(Path(folder, f"said_{number}.py"), case)
            for number, (name, case) in enumerate(FUNCTIONS.items())
            if case.first <= minor <= case.last
        }
    values = {}
    for expression in VALUES:
        try:
            values[expression] = encode_json(_value(expression))
        except (NameError, AttributeError, fanfold.FanfoldError):  # not here, or refused before anything is written
            continue
    return {"python": f"3.{minor}", "functions": functions, "values": values}


def _captured(path: Path, case: Case) -> str:
    path.write_text(f"{dedent(case.top)}\n\ndef said():\n    return {case.returned}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return capture(importlib.import_module(path.stem).said).to_bytes().decode()


def read(known: dict[str, Any]) -> dict[str, list[str]]:
    """What became of each: "same", or "refused" or "other" with the words."""
    said = {
        f"function: {name}": _outcome(lambda text=text, name=name: _made(text, FUNCTIONS[name].value))
        for name, text in known["functions"].items()
    }
    said |= {
        f"value: {expression}": _outcome(lambda text=text, expression=expression: _decoded(text, expression))
        for expression, text in known["values"].items()
    }
    return said


def _made(text: str, value: Any) -> str:
    found = load(Bundle.from_bytes(text.encode()))()()
    return "" if found == value and type(found) is type(value) else f"{found!r}, not {value!r}"


def _decoded(text: str, expression: str) -> str:
    found, value = decode_json(text, trusted=True), _value(expression)
    return "" if _look(found) == _look(value) else f"{_look(found)}, not {_look(value)}"


def _look(value: Any) -> str:
    more = sorted(vars(value).items(), key=repr) if hasattr(value, "__dict__") and not isinstance(value, type) else ""
    return f"{type(value).__name__} {value!r} {more!r}".partition(" object at 0x")[0]


def _outcome(look: Any) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = look()
    except fanfold.FanfoldError as error:
        return ["refused", str(error)]
    except Exception as error:
        return ["other", f"{type(error).__name__}: {error}"]
    return ["other", other] if other else ["same"]


def _value(expression: str) -> Any:
    modules = {name.partition(".")[0]: importlib.import_module(name) for name in _OF_VALUES}
    return eval(expression, modules | {"http": sys.modules["http"]})


if __name__ == "__main__":
    if sys.argv[1] == "write":
        Path(sys.argv[2]).write_text(json.dumps(written()))
    else:
        print(json.dumps(read(json.loads(Path(sys.argv[2]).read_text()))))
