"""`packages=`: a UDF brings along what it needs, on this machine and in the cloud."""

from __future__ import annotations

import subprocess
import sys

import boto3
import botocore
import pytest

import fanfold
from fanfold.cli.app import app
from fanfold.engines.aws.engine import AwsEngine
from fanfold.engines.base import engine_for
from fanfold.environments import wheels
from fanfold.environments.requirements import with_more
from fanfold.errors import ConfigurationError, InputError, MissingPackage
from fanfold.stores.keys import libraries_key
from fanfold.submission.packages import forget_locks
from tests.cloud.udfs import squared
from tests.environments.index import Index, make_wheel


@fanfold.udf(packages=["fftalk==1.0"])
def talk(x: int):
    import fftalk

    return f"{x} {fftalk.VERSION}"


@fanfold.udf(packages=["fftalk==1.0"], cache_max_age=0)
def everywhere():
    """What the run itself, a program that it starts and a process that it spawns see."""
    import subprocess
    import sys
    from multiprocessing import get_context

    import fftalk
    import psutil  # of the environment below

    said = [
        subprocess.run(
            [python, "-c", "import fftalk; print(fftalk.VERSION)"], stdout=subprocess.PIPE, check=True
        ).stdout
        for python in ("python", sys.executable)
    ]
    ours, theirs = get_context("spawn").Pipe()  # Lambda has no shared memory, which a Pool takes
    process = get_context("spawn").Process(target=_send_version, args=(theirs,))
    process.start()
    theirs.close()
    spawned = ours.recv()
    process.join()
    return [fftalk.VERSION, *(each.decode().strip() for each in said), spawned, psutil.__name__]


def _send_version(pipe):
    import fftalk

    pipe.send(fftalk.VERSION)


@pytest.fixture
def talks(index):
    """An index that has two versions of a package, with what it needs in turn."""
    for version in ("1.0", "2.0"):
        index.add("fftalk", version, requires=[f"ffwords=={version}"])
        index.add("ffwords", version)
    return index


def test_a_package_is_there_for_its_udf_and_its_children_and_for_nothing_else(engine, talks):
    assert fanfold.run(everywhere) == ["1.0", "1.0", "1.0", "1.0", "psutil"]
    with pytest.raises(fanfold.RunFailed, match="No module named 'fftalk'"):
        fanfold.run(lacking)
    with pytest.raises(ModuleNotFoundError):
        import fftalk  # noqa: F401
    on_a_machine = fanfold.submit(talk, [1, 2], instance_type="small", collect=False)
    assert on_a_machine.results() == ["1 1.0", "2 1.0"]


@fanfold.udf(cache_max_age=0)
def lacking():
    __import__("fftalk")


def test_two_versions_of_a_package_serve_side_by_side_and_have_results_of_their_own(engine, talks):
    for _ in range(2 if engine == "aws" else 1):  # in the cloud: in the same warm environments
        assert fanfold.submit(talk, [1, 2], collect=False).results() == ["1 1.0", "2 1.0"]
        newer = fanfold.submit(talk, [1, 2], packages=["fftalk==2.0"], collect=False, cache_max_age=0)
        assert newer.results() == ["1 2.0", "2 2.0"]
        assert newer.verify()
    assert fanfold.submit(talk, [1, 2], collect=False).counts() == {"cached": 2}


def test_wheels_are_fetched_once_for_everybody(on_cloud, talks):
    fanfold.run(talk, x=1)
    assert sorted(talks.fetched) == ["fftalk-1.0-py3-none-any.whl", "ffwords-1.0-py3-none-any.whl"]
    forget_locks()
    talks.fetched.clear()
    fanfold.run(talk, x=2)
    assert talks.fetched == []


def test_many_small_wheels_go_as_one_object(on_cloud, index, monkeypatch):
    monkeypatch.setattr(wheels, "_MANY", 3)
    names = [f"ffpart{n}" for n in range(4)]
    for name in names:
        index.add(name, "1.0")

    @fanfold.udf(packages=names)
    def all_of(names: list):
        return [__import__(name).VERSION for name in names]

    assert fanfold.run(all_of, names=names) == ["1.0"] * 4
    bucket, s3 = engine_for("aws").stores.objects.bucket, on_cloud.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="blobs/")["Contents"]]
    stored = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if not key.endswith(".facts")]
    assert [[name.encode() in blob for name in names] for blob in stored if b"ffpart" in blob] == [[True] * 4]


def test_the_same_words_mean_the_same_packages_until_they_are_updated(talks):
    job = fanfold.submit(talk, [1], packages=["fftalk"], collect=False)
    assert job.results() == ["1 2.0"]
    talks.add("fftalk", "3.0", requires=["ffwords"])
    assert fanfold.submit(talk, [1], packages=["fftalk"], collect=False).results() == ["1 2.0"]
    assert forget_locks() == 1
    assert fanfold.submit(talk, [1], packages=["fftalk"], collect=False).results() == ["1 3.0"]


def test_of_several_indexes_the_best_version_counts_as_pip_has_it(index, tmp_path, monkeypatch):
    index.add("fftalk", "1.0")
    more = Index(tmp_path / "more")
    try:
        more.add("fftalk", "2.0")
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", more.address)
        assert fanfold.submit(talk, [1], packages=["fftalk"], collect=False).results() == ["1 2.0"]
    finally:
        more.close()


def test_this_machines_own_packages_serve_where_they_satisfy(index):
    @fanfold.udf(packages=["fanfold", "numpy", "pandas>=1"])
    def prefix():
        return sys.prefix

    assert fanfold.run(prefix) == sys.prefix
    assert index.log == []


def test_the_command_line_takes_packages_too(talks, tmp_path, capsys):
    (tmp_path / "udfs.py").write_text(
        "import fanfold\n\n@fanfold.udf\ndef talk(x: int):\n    import fftalk\n    return fftalk.VERSION\n"
    )
    app(["run", str(tmp_path / "udfs.py"), "x=1", "--with", "fftalk<2", "--with", "ffwords"], standalone_mode=False)
    assert capsys.readouterr().out.strip() == "1.0"


def test_what_the_command_line_names_comes_beside_the_udfs_own():
    """As `uv run --with` has it; where both name a package, the command line's counts."""
    own = ["FFtalk==1.0", "ffwords >= 1", "more.txt", "./mine-1.0-py3-none-any.whl"]
    assert with_more(squared, own, ["fftalk<3", "rapidfuzz"]) == [*own[1:], "fftalk<3", "rapidfuzz"]
    assert with_more(squared, None, ["rapidfuzz"]) == ["rapidfuzz"]
    assert with_more(squared, "more.txt", ["rapidfuzz"]) == ["more.txt", "rapidfuzz"]
    assert with_more(squared, "auto", ["rapidfuzz"]) == ["rapidfuzz"]


def test_a_file_of_requirements_and_the_metadata_of_a_script_say_the_same(talks, tmp_path):
    (tmp_path / "more.txt").write_text("ffwords == 2.0\n")
    (tmp_path / "requirements.txt").write_text("# what it says\n-r more.txt\nfftalk>=1,<3  # newest\nfanfold\n")
    script = tmp_path / "script.py"
    script.write_text(
        "# /// script\n# dependencies = ['fftalk<2']\n# ///\n"
        "import fanfold\n\n@fanfold.udf\ndef talk(x: int):\n    import fftalk\n    return fftalk.VERSION\n\n"
        "if __name__ == '__main__':\n"
        "    job = fanfold.submit(talk, [1], packages='requirements.txt', collect=False)\n"
        "    print(fanfold.run(talk, x=1), job.results())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.split("\n")[-2] == "1.0 ['2.0']", done.stderr


def test_auto_brings_what_the_image_lacks_at_the_versions_installed_here(on_cloud, index, monkeypatch, tmp_path):
    """An installed package of the caller's own, which the image does not have."""
    import zipfile

    index.add("ffhere", "1.5")
    index.add("ffhere", "1.6")
    zipfile.ZipFile(index.folder / "ffhere-1.5-py3-none-any.whl").extractall(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))

    @fanfold.udf
    def version():
        import ffhere

        return ffhere.VERSION

    with pytest.raises(fanfold.CaptureError, match=r'ffhere(.|\n)*packages="auto"'):
        fanfold.run(version)
    assert fanfold.submit(version, [{}], packages="auto", collect=False).results() == ["1.5"]


@pytest.mark.parametrize("engine", ["local", pytest.param("aws", marks=pytest.mark.long)], indirect=True)
def test_a_wheel_and_a_project_of_ones_own_are_brought_along(engine, index, tmp_path):
    """The project builds itself, so that nothing has to be fetched for it."""
    index.add("ffbase", "1.0")
    wheel = make_wheel(tmp_path / "dist", "ffmine", "0.1", requires=["ffbase"])
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'ffproject'\nversion = '0.2'\n"
    )
    (project / "backend.py").write_text(
        "import pathlib, shutil\n"
        "def build_wheel(folder, *_):\n"
        "    name = 'ffproject-0.2-py3-none-any.whl'\n"
        "    shutil.copy(pathlib.Path(__file__).parent / 'made' / name, folder)\n"
        "    return name\n"
    )
    make_wheel(project / "made", "ffproject", "0.2")

    @fanfold.udf(packages=[str(wheel), str(project)])
    def versions():
        import ffbase
        import ffmine
        import ffproject

        return [ffmine.VERSION, ffproject.VERSION, ffbase.VERSION]

    assert fanfold.run(versions) == ["0.1", "0.2", "1.0"]


# What is said before anything starts.


def assert_said(text, *parts):
    assert [part for part in parts if part not in text] == [], text


def refused(packages, kind=InputError):
    with pytest.raises(kind) as caught:
        fanfold.submit(talk, [1], packages=packages)
    assert fanfold.get_jobs() == []
    return str(caught.value)


def test_a_wheel_that_is_not_for_the_image_is_refused(on_cloud, index):
    index.add("ffnative", "1.0", tag="cp312-cp312-win_amd64")
    assert_said(refused(["ffnative"]), "no wheel", "Python {}.{}".format(*sys.version_info), "ffnative")


def test_a_conflict_with_the_image_names_both_pins(on_cloud, index):
    index.add("numpy", "1.0")
    index.add("ffold", "1.0", requires=["numpy==1.0"])
    assert_said(refused(["ffold"]), "ffold", "numpy==1.0", "numpy==2", "name numpy in packages=")


#: Long before and long after what this machine has of them.
_THEN, _NOW = "2020-03-31T00:00:00Z", "2126-03-31T00:00:00Z"


@fanfold.udf(packages=["ffstore"])
def stored(x: int):
    import ffstore

    return [ffstore.VERSION, botocore.__version__, boto3.__version__, x]


def add_stores(index, **dated):
    """As s3fs is: of late for one botocore alone, long ago for any."""
    index.add("ffstore", "0.4", requires=["botocore"], **{name: times[0] for name, times in dated.items()})
    newest = {name: times[1] for name, times in dated.items()}
    index.add("ffstore", "2126.3", requires=["ffaio"], **newest)
    index.add("ffaio", "3.0", requires=["botocore>=1,<1.2"], **newest)
    for version in ("1.0", "1.1", botocore.__version__):
        index.add("botocore", version, {"botocore/__init__.py": f"__version__ = {version!r}\n"}, **newest)
        needs = [f"botocore=={version}"]
        index.add("s3transfer", version, requires=needs, **newest)
        index.add("boto3", version, {"boto3/__init__.py": f"__version__ = {version!r}\n"}, requires=needs, **newest)


@pytest.mark.parametrize("dated", [{"uploaded": (_THEN, _NOW)}, {}])
def test_what_would_fall_back_by_years_has_what_is_in_its_way_replaced_and_says_so(index, capsys, dated):
    add_stores(index, **dated)
    assert fanfold.run(stored, x=1) == ["2126.3", "1.1", "1.1", 1]  # boto3 goes with its botocore
    said = capsys.readouterr().err
    assert f"botocore {botocore.__version__}" in said
    assert f"there is no ffstore newer than 0.4{' of 2020' if dated else ','}" in said
    assert f"botocore 1.1 instead of {botocore.__version__}" in said


def test_an_old_version_that_is_asked_for_or_is_the_newest_is_no_fallback(index, capsys):
    add_stores(index, uploaded=(_THEN, _NOW))
    index.add("fftalk", "1.0", uploaded=_THEN)
    asked = fanfold.submit(stored, [1], packages=["ffstore<1", "fftalk"], collect=False).results()
    assert asked == [["0.4", botocore.__version__, boto3.__version__, 1]]
    assert "newer than" not in capsys.readouterr().err


def test_what_goes_only_with_others_than_are_there_is_refused_with_what_would_do(index):
    add_stores(index, uploaded=(_THEN, _NOW))
    with pytest.raises(
        InputError, match=f"no ffaio, ffstore goes with boto3 .* botocore {botocore.__version__}"
    ) as refused:
        fanfold.submit(stored, [1], packages=["ffstore", "ffaio"], collect=False)
    assert '"botocore==1.1"' in refused.value.next_step
    more = fanfold.submit(stored, [1], packages=["ffstore", "ffaio", "botocore==1.1", "boto3==1.1"], collect=False)
    assert more.results() == [["2126.3", "1.1", "1.1", 1]]


def test_a_version_that_there_is_not_is_no_conflict_with_the_one_that_is_here(index):
    def idle(x: int):
        return x

    index.add("numpy", "1.0")
    with pytest.raises(fanfold.InputError, match="there is no version of numpy==99") as refused:
        fanfold.submit(idle, [1], packages=["numpy==99"])
    assert refused.value.next_step == "check the names and the versions."


def test_a_system_library_that_the_image_lacks_is_named_with_what_to_use_instead(on_cloud, index):
    index.add("opencv_python", "4.0", {"cv2/__init__.py": "", "cv2/cv2.so": elf_that_needs("libGL.so.1", "libc.so.6")})
    said = refused(["opencv-python"])
    assert_said(said, "opencv-python needs libGL.so.1 of", "opencv-python-headless")


def test_what_an_image_has_said_of_its_libraries_counts_more_than_what_is_known_of_its_base(
    on_cloud, index, eventually
):
    index.add("ffnative", "1.0", {"ffnative.so": elf_that_needs("libmine.so.7", "libc.so.6")})
    assert_said(refused(["ffnative"]), "ffnative needs libmine.so.7 of", "image does not have", "`system_packages`")
    # Of an image with system packages of its own, which has said nothing yet, nothing is known.
    assert fanfold.submit(squared, [1], packages=["ffnative"], image="geo", plan=True)
    fanfold.run(squared, x=2, instance_type="small")  # a machine is new; a function may have said it to an earlier test
    objects, facts = engine_for("aws").stores.objects, engine_for("aws").describe().image
    eventually(lambda: objects.exists(libraries_key(facts)))
    assert "libc.so.6" in objects.get(libraries_key(facts)).decode().split("\n")
    objects.put(libraries_key(facts), b"libmine.so.7")
    assert fanfold.submit(squared, [1], packages=["ffnative"], plan=True)


def elf_that_needs(*libraries):
    """The smallest shared object that names these libraries."""
    import struct

    strings = b"\0" + b"".join(name.encode() + b"\0" for name in libraries)
    entries = [(1, strings.index(name.encode())) for name in libraries] + [(5, 0), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    at = 64 + len(strings)
    section = "<IIQQQQIIQQ"
    table = struct.pack(section, 0, 3, 0, 0, 64, len(strings), 0, 0, 1, 0)
    table += struct.pack(section, 0, 6, 0, 0, at, len(dynamic), 0, 0, 8, 16)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at + len(dynamic), 0, 64, 0, 0, 64, 2, 0)
    return head + strings + dynamic + table


def test_what_does_not_fit_the_disk_of_a_run_is_refused(on_cloud, index, monkeypatch):
    describe = AwsEngine.describe
    small = {"realtime_disk_mib": 3}
    monkeypatch.setattr(AwsEngine, "describe", lambda engine, image="": describe(engine, image)._replace(**small))
    index.add("fftalk", "1.0")
    index.add("ffhuge", "1.0", {"ffhuge.bin": bytes(4 << 20)})
    assert_said(refused(["ffhuge", "fftalk"]), "ffhuge 1.0", "realtime_disk_mib")


def test_an_index_that_refuses_or_damages_is_named_and_no_password_is_told(index, monkeypatch):
    index.add("fftalk", "1.0")
    monkeypatch.setenv("PIP_INDEX_URL", index.address.replace("//", "//ann:s3cret@"))
    for status, damage, told in ((401, b"", "user and password"), (503, b"", "check the network"), (0, b"x", "hash")):
        index.refuses_with, index.damage = status, damage
        said = refused(["fftalk"], ConfigurationError)
        assert "s3cret" not in said
        assert_said(said, told)


@pytest.mark.parametrize("packages", [["no such thing ="], [3], "missing.txt", ["./nowhere"], ["a @ http://x/a.whl"]])
def test_what_is_no_list_of_packages_is_refused(packages):
    refused(packages)


def test_without_uv_it_is_said_how_to_get_it(talks, monkeypatch):
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    assert "pip install 'fanfold[packages]'" in refused(["fftalk"], MissingPackage)
