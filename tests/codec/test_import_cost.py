"""Plain values need nothing but the standard library, and not much of that."""

import subprocess
import sys
import textwrap

HEAVY = {"numpy", "pandas", "pyarrow", "polars", "geopandas", "shapely", "PIL", "pydantic", "boto3"}
RARE = {"datetime", "decimal", "uuid", "hashlib", "pickle", "pathlib", "zoneinfo"}


def modules_after(code: str) -> set[str]:
    code = f"import sys\n{textwrap.dedent(code)}\nprint(*sys.modules)"
    # Isolated and without site: what the environment's .pth files import is not the codec's doing.
    path = next(path for path in sys.path if path.endswith("site-packages"))
    source = __import__("fanfold").__path__[0].removesuffix("/fanfold")
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path += [{source!r}, {path!r}]\n{code}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_plain_values_import_no_package():
    loaded = modules_after(
        """
        from fanfold.codec import decode, decode_json, encode, encode_json
        value = {"x": 1, "y": [1.5, None, "z"], "t": (1, {2})}
        assert decode_json(encode_json(value)) == value
        assert decode("json/1", encode(value).data) == value
        """
    )
    assert not loaded & (HEAVY | RARE)


def test_a_value_of_ones_own_class_is_refused_without_importing_a_package_to_find_out():
    loaded = modules_after(
        """
        from fanfold.codec import encode
        from fanfold.errors import CodecError
        class DataFrame: pass
        try: encode([DataFrame()])
        except CodecError: pass
        """
    )
    assert not loaded & HEAVY


def test_a_package_that_is_not_installed_is_an_error_that_names_it():
    modules_after(
        """
        sys.modules["polars"] = None
        from fanfold.codec import decode
        from fanfold.errors import MissingPackage
        try: decode("parquet-polars/1", b"")
        except MissingPackage as error: assert "polars" in error.message and "pip install" in error.next_step
        else: raise AssertionError
        """
    )


def test_an_array_imports_numpy_and_nothing_else():
    loaded = modules_after("import numpy\nfrom fanfold.codec import encode\nencode([numpy.arange(3), numpy.int8(1)])")
    assert loaded & HEAVY == {"numpy"}
