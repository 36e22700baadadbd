"""One file of dill's own tests, as the script that it is: what it copies goes through an executor, there and back.

As a script its classes and functions are nobody's to import, which is what dill's tests are about.
"""

from __future__ import annotations

import ast
import pickle
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
import dill
import dill.detect
import elsewhere
from _cases import end, kind_of, say

#: How many values were sent.
_sent = 0


def copy(obj, *_args, **_settings):
    """What comes back of it."""
    global _sent
    _sent += 1
    try:
        return elsewhere.echo(obj)
    except Exception as error:
        raise pickle.PicklingError(f"{type(error).__name__}: {error}") from error


class _Pickle:
    """In the place of a pickle: what came back when it was made."""

    def __init__(self, obj):
        self.came_back = copy(obj)


def _adapt():
    """Have dill's functions send what they are given."""
    for module in (dill, dill._dill, dill.detect):
        module.copy, module.dumps = copy, lambda obj, *_, **__: _Pickle(obj)
        module.loads = lambda data, *_, **__: data.came_back


def _text(path):
    """The tests, without what starts them."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__main__" in ast.unparse(node.test))]
    return compile(tree, str(path), "exec")


def main(path):
    global _sent
    if elsewhere.ENGINE != "dill":
        _adapt()
    sys.path.insert(0, str(path.parent))  # one imports another
    names = vars(sys.modules["__main__"])
    known = set(names)
    exec(_text(path), names)
    for name in [each for each in names if each.startswith("test_") and each not in known]:
        _sent = 0
        try:
            names[name]()
            outcome = ("works" if _sent or elsewhere.ENGINE == "dill" else "aside", "")
        except BaseException as error:
            outcome = (kind_of(error), f"{type(error).__name__}: {error}")
        say(f"{path.stem}: {name}", *outcome)
    end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
