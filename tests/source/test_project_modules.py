"""The user's own modules travel whole, with all of theirs that they import."""

from __future__ import annotations

import sys
import zipfile

import pytest

from fanfold.errors import CaptureError
from fanfold.source import modules as project
from fanfold.source.capture import capture
from fanfold.source.load import load
from tests.source.conftest import Desk, arrived, shipped


def test_modules_packages_and_relative_imports_travel(desk: Desk) -> None:
    desk.write("geo/__init__.py", "from .shapes import area\nUNIT = 'm'\n")
    desk.write("geo/shapes.py", "from . import maths\nfrom .deep.er import ten\ndef area(): return maths.two() * ten\n")
    desk.write("geo/maths.py", "def two(): return 2\n")
    desk.write("geo/deep/er.py", "ten = 10\n")
    desk.write("geo/unused.py", "raise SystemError\n")
    desk.write("late.py", "import json\ndef late(): return json.dumps(1)\n")
    bundle = desk.capture("""
        import geo
        from geo import UNIT

        def main():
            from late import late
            return [geo.area(), UNIT, late()]
        """)
    assert desk.elsewhere(bundle) == [20, "m", "1"]
    kinds = {source.module: source.kind for source in bundle.sources if source.kind != "entry"}
    assert kinds == {
        "geo": "package",
        "geo.deep": "namespace",
        "geo.deep.er": "module",
        "geo.maths": "module",
        "geo.shapes": "module",
        "late": "module",
    }
    assert bundle.imports == ("json",)


def test_installed_packages_and_the_standard_library_do_not(desk: Desk) -> None:
    bundle = desk.capture("import fan, numpy, json\ndef main(): return fan, numpy.pi, json\n")
    assert [source.kind for source in bundle.sources] == ["entry"]
    assert bundle.imports == ("fan", "json", "numpy")


def test_an_import_that_the_code_can_do_without_is_not_asked_for(desk: Desk) -> None:
    desk.write("extra.py", "def f(): return 1\n")
    bundle = desk.capture("""
        def main():
            try:
                import nowhere_at_all
            except ImportError:
                import json
            try:
                try:
                    import nor_this
                except KeyError:
                    pass
                import extra
            except (ValueError, ModuleNotFoundError):
                pass
            import also_nowhere
            try:
                x = 1
            except ValueError:
                import fractions
            match x:
                case 1:
                    import decimal
        """)
    assert bundle.imports == ("also_nowhere", "decimal", "fractions")
    assert "extra" in {source.module for source in bundle.sources}


def test_imports_for_type_checkers_are_left_out(desk: Desk) -> None:
    desk.write("tool.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\ndef f(): return 1\n")
    bundle = desk.capture("import tool\ndef main(): return tool.f()\n")
    assert bundle.imports == ("typing",)


def test_what_a_module_takes_from_itself_and_its_package(desk: Desk) -> None:
    desk.write("app/__init__.py", "NAME = 'app'\n")
    desk.write("app/util.py", "def f(): return 'util'\n")
    module = desk.module(
        """
        from .util import f
        from . import NAME
        def main():
            from . import util
            return [f(), NAME, util.f()]
        """,
        "app.jobs",
    )
    assert desk.elsewhere(capture(module.main)) == ["util", "app", "util"]


def test_a_module_that_its_own_package_imports_travels_whole(desk: Desk) -> None:
    desk.write("app/__init__.py", "from .jobs import main\n")
    desk.write("app/util.py", "def f(): return 'util'\n")
    module = desk.module(
        "import fan\nfrom .util import f\n\n@fan.udf\ndef main():\n    return f()\n\ndef other(): ...\n", "app.jobs"
    )
    bundle = capture(module.main)
    assert {source.kind for source in bundle.sources} == {"module", "package"}
    assert "@fan.udf" not in shipped(bundle, "module")
    assert arrived(bundle)() == "util"


def test_a_udf_of_an_imported_module_is_captured_there_and_in_part(desk: Desk) -> None:
    desk.write("util.py", "def f(): return 'util'\n")
    desk.write(
        "jobs.py", "import fan, util\nlock = open\n\n@fan.udf\ndef main(): return util.f()\n\ndef other(): ...\n"
    )
    caller = desk.module("from jobs import main\n")
    bundle = capture(caller.main)
    assert (bundle.module, shipped(bundle)) == ("jobs", "\n\n\n@fan.udf\ndef main(): return util.f()\n")
    assert desk.elsewhere(bundle) == "util"


def test_a_module_that_cannot_be_read(desk: Desk) -> None:
    path = desk.write("broken.py", "def f(:\n")
    module = desk.module("def main():\n    import broken\n")
    with pytest.raises(CaptureError) as refused:
        capture(module.main)
    said = str(refused.value)
    assert said.startswith(
        f"{module.__file__}:2: module 'broken' of your project cannot be read ({path}: invalid syntax"
    )
    assert said.endswith(f"Next: correct {path}, or leave the import out.")


def test_a_loaded_module_that_cannot_be_read_any_more(desk: Desk) -> None:
    """What refers to it may stand in no import of any file: then the message begins with the module."""
    desk.module("def scale(x): return x\n", "lib")
    user = desk.module("import lib\nscale = lib.scale\ndel lib\ndef main(x): return scale(x)\n")
    desk.write("lib.py", "def scale(x:\n")
    with pytest.raises(CaptureError, match=r"^module 'lib' of your project cannot be read"):
        capture(user.main)


def test_a_nested_function_of_such_a_module_lives_in_it(desk: Desk) -> None:
    desk.write("util.py", "import work\n")
    module = desk.module(
        "K = 5\ndef make():\n    import util\n    def main(): return util.work.K + K\n    return main\n"
    )
    assert desk.elsewhere(capture(module.make())) == 10


def test_a_part_of_a_namespace_package_that_is_installed_is_found_where_it_is(desk: Desk) -> None:
    desk.write("../site-packages/space/there.py", "X = 1\n")
    desk.write("space/here.py", "Y = 2\n")
    bundle = desk.capture("import space.here, space.there\ndef main(): return space.here.Y + space.there.X\n")
    assert {s.module for s in bundle.sources} == {"work", "space", "space.here"}
    (desk.root / "space/here.py").unlink()
    sys.modules.pop("space.here")
    fresh = load(bundle)
    assert [fresh()(), fresh()()] == [3, 3]


def test_other_files_of_the_project_cannot_stand_in(desk: Desk) -> None:
    desk.write("tool.py", "def f(): return 'shipped'\n")
    bundle = desk.capture("import tool\ndef main(): return tool.f()\n")
    desk.write("tool.py", "def f(): return 'on disk'\n")
    before = sys.modules["tool"]
    main = load(bundle)()
    assert main() == "shipped"
    assert sys.modules["tool"] is not before


def test_a_script_without_extension_and_other_encodings(desk: Desk) -> None:
    (desk.root / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nX = '\xe9'\n")
    assert desk.result("import latin\ndef main(): return latin.X\n") == "é"


def test_a_module_is_read_through_once_however_often_it_travels(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("tool.py", "import json\ndef f(): return 1\n")
    module = desk.module("import tool\ndef main(): return tool.f()\n")
    read: list[str] = []
    for name in ("tree_hash", "imports_in", "identifiers"):
        whole = getattr(project, name)
        monkeypatch.setattr(project, name, lambda *a, name=name, whole=whole, **k: read.append(name) or whole(*a, **k))
    first = capture(module.main)
    assert set(read) == {"identifiers", "imports_in", "tree_hash"}
    read.clear()
    assert capture(module.main) == capture(module.main) == first
    assert read == []


def test_the_files_of_a_package_travel_where_code_reads_them_by_the_package(desk: Desk) -> None:
    for name, text in {"lib/__init__.py": "", "lib/sub/__init__.py": "", "lib/read.py": "import pkgutil\n"}.items():
        desk.write(name, text)
    for name in ("lib/a.txt", "lib/sub/b.txt", "lib/raw/c.txt", "lib/.hidden", "lib/__pycache__/d.txt"):
        desk.write(name, name)
    code = """
        import lib.read, pkgutil
        from importlib import resources
        def main():
            raw = resources.files("lib.raw")
            with resources.as_file(resources.files(lib) / "a.txt") as path:
                copied = path.read_text()
            below = sorted(each.name for each in resources.files("lib").iterdir())
            named = resources.read_text("lib.sub", "b.txt"), raw.joinpath("c.txt").read_bytes().decode()
            return [copied, *named, pkgutil.get_data("lib", "sub/b.txt").decode(), below]
        """
    bundle = desk.capture(code)
    for name in ("lib/a.txt", "lib/sub/b.txt", "lib/raw/c.txt"):
        (desk.root / name).unlink()
    read = ["lib/a.txt", "lib/sub/b.txt", "lib/raw/c.txt", "lib/sub/b.txt", ["a.txt", "raw", "sub"]]
    assert desk.elsewhere(bundle) == read
    assert "sub/b.txt" not in capture(desk.module("import lib\ndef main():\n    return lib.__name__\n").main).graph


def test_a_file_of_a_package_counts_in_the_hash_and_too_many_stay_behind(desk: Desk, monkeypatch) -> None:
    desk.write("lib/__init__.py", "from importlib import resources\nTEXT = resources.files(__name__) / 'a.txt'\n")
    desk.write("lib/a.txt", "one")
    main = desk.module("import lib\ndef main():\n    return lib.TEXT.read_text()\n").main
    one = capture(main)
    desk.write("lib/a.txt", "two")
    two = capture(main)
    assert one.code_hash != two.code_hash
    monkeypatch.setattr("fanfold.source.package_files.MOST_BYTES", 2)
    assert capture(main).left_statements == ("the files of the package lib, which are too many to travel",)


def test_a_name_keeps_what_it_was_imported_as(desk: Desk) -> None:
    desk.write("core.py", "LIMIT = 3\nSIZES = [1]\ndef area(): return 1\ndef now(): return LIMIT, SIZES\n")
    desk.write("uses.py", "from core import LIMIT, SIZES, area\ndef go(): return LIMIT, SIZES, area()\n")
    text = "import core, uses\ndef two(): return 2\ndef main(): return core.now(), uses.go(), core.area()\n"
    module = desk.module(text)
    module.core.LIMIT, module.core.SIZES, module.core.area = 99, [2], module.two
    assert arrived(capture(module.main))() == module.main() == ((99, [2]), (3, [1], 1), 2)


def test_a_module_s_name_for_another_module_is_what_it_is_now(desk: Desk) -> None:
    desk.write("tools.py", "VAL = 1\ndef go(): return 'tools'\n")
    desk.write("other.py", "VAL = 2\ndef go(): return 'other'\n")
    text = "import tools as t\nimport tools\nimport tools as o\ndef go(): return t.VAL, tools.go(), o.VAL\n"
    desk.write("uses.py", text)
    module = desk.module("import types, uses, other\ndef fake(): return 'fake'\ndef main(): return uses.go()\n")
    module.uses.t = module.types.SimpleNamespace(VAL="swapped")
    module.uses.tools = module.types.ModuleType("tools")
    module.uses.tools.go = module.fake
    module.uses.o = module.other
    assert arrived(capture(module.main))() == module.main() == ("swapped", "fake", 2)


def test_a_function_is_replaced_where_it_is_handed_on_as_well(desk: Desk) -> None:
    desk.write("low.py", "def run(): return 1\n")
    desk.write("high.py", "from low import run\ndef go(): return run()\n")
    text = "import low, high\nof_low = lambda: 'low'\nof_high = lambda: 'high'\n"
    module = desk.module(f"{text}def main(): return low.run(), high.go()\n")
    module.low.run, module.high.run = module.of_low, module.of_high
    assert arrived(capture(module.main))() == module.main() == ("low", "high")


def test_a_function_that_was_wrapped_since_is_wrapped(desk: Desk) -> None:
    desk.write(
        "low.py",
        """
        import functools
        def deco(fn):
            @functools.wraps(fn)
            def inner(*given): return "d", fn(*given)
            return inner
        def one(): return 1
        @deco
        def two(): return 2
        @deco
        def three(): return 3
        class K:
            def m(self): return 4
        """,
    )
    module = desk.module(
        """
        import functools, low
        def spy(fn):
            @functools.wraps(fn)
            def seen(*given): return "seen", fn(*given)
            return seen
        low.one, low.two, low.K.m = spy(low.one), spy(low.two), spy(low.K.m)
        def main(): return low.one(), low.two(), low.three(), low.K().m()
        """
    )
    wanted = (("seen", 1), ("seen", ("d", 2)), ("d", 3), ("seen", 4))
    assert arrived(capture(module.main))() == module.main() == wanted


def test_modules_in_a_zip_travel_as_the_files_they_are(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = desk.root.parent / "lib.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", "import zipped_parts\nLIMIT = 3\ndef twice(x): return 2 * x * zipped_parts.K\n")
        file.writestr("zipped_parts/__init__.py", "from zipped_parts.sub import K\n")
        file.writestr("zipped_parts/sub.py", "K = 5\n")
    monkeypatch.syspath_prepend(archive)
    text = """
        import zipped
        def main(x):
            import zipped_parts.sub
            return zipped.twice(x) + zipped.LIMIT + zipped_parts.sub.K
    """
    assert desk.elsewhere(desk.capture(text), 1) == 18
