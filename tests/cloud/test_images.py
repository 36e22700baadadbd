"""Images beside the default one: each has functions, machines and cached results of its own, and refuses by name."""

from __future__ import annotations

import shutil
from importlib.metadata import version

import pytest

import fanfold
from fanfold.errors import InputError, UnknownInstanceType
from tests.cloud.cloud import LocalCloud
from tests.cloud.deploy import ROOT
from tests.cloud.fixtures import point
from tests.cloud.images import make_environment, missing_pins
from tests.environments.index import Index


@fanfold.udf(image="geo")
def place(x: int):
    import os

    return os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "machine")


@fanfold.udf
def of_mine(x: int):
    import ownedbyimage

    return ownedbyimage.VERSION


def test_runs_have_the_functions_and_machines_of_their_image(on_cloud):
    job = fanfold.submit(place, range(4), collect=False)
    assert set(job.results()) == {"fanfold-main-run-geo-0", "fanfold-main-run-geo-1"}
    assert job.header.image_name == "geo"
    assert fanfold.run(place, x=9).startswith("fanfold-main-run-geo-")
    job = fanfold.submit(place, [1], instance_type="small", collect=False)
    assert job.results() == ["machine"]
    (given,) = on_cloud.machines_of(job.id)
    assert "job-definition/fanfold-main-image-geo-small:" in given["jobDefinition"]


def test_the_call_chooses_another_image_and_each_has_a_cache_of_its_own(on_cloud):
    default = fanfold.submit(place, [1], image="geo", collect=False).wait()
    again = fanfold.submit(place, [1], collect=False).wait()
    on_batch = fanfold.submit(place, [1], image="batch", instance_type="small", collect=False).wait()
    on_geo = fanfold.submit(place, [1], instance_type="small", collect=False).wait()
    counts = [job.counts() for job in (default, again, on_batch, on_geo)]
    assert counts == [{"succeeded": 1}, {"cached": 1}, {"succeeded": 1}, {"succeeded": 1}]


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"image": "gdal"}, InputError, ["image='gdal'", "it has batch, geo"]),
        ({"image": "batch"}, InputError, ["'batch' is for machines alone", "instance_type='small'", "small, medium"]),
        ({"instance_type": "large"}, UnknownInstanceType, ["'geo'", "not for the machine 'large'", "it is for small"]),
        ({"image": ""}, InputError, ["image='' is not a name"]),
    ],
)
def test_what_is_refused_names_what_there_is(on_cloud, asked, error, words):
    with pytest.raises(error) as caught:
        fanfold.submit(place, [1], **asked)
    assert [word for word in words if word not in str(caught.value)] == []
    assert fanfold.get_jobs() == []


def test_on_this_machine_a_run_has_this_environment_and_says_so(capsys, monkeypatch):
    monkeypatch.setenv("FANFOLD_ENGINE", "local")
    assert fanfold.run(place, x=1, engine="local") == "machine"
    assert "the image geo is a deployment's; here runs have this machine's packages" in capsys.readouterr().err


def test_an_image_of_the_local_cloud_has_what_its_lock_has_and_this_machine_lacks(tmp_path, index):
    import subprocess

    index.add("ownedbyimage", "1.0")
    lock = "ownedbyimage==1.0 \\\n    --hash=sha256:00\npytest==1.0 ; python_version < '3'\n"
    lock += f"pytest=={pytest.__version__}\n"
    assert list(missing_pins(lock)) == ["ownedbyimage==1.0"]
    make_environment(tmp_path / "image", ["ownedbyimage==1.0"])
    program = "import ownedbyimage, pytest; print(ownedbyimage.VERSION)"
    command = [tmp_path / "image" / "bin" / "python", "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1.0\n"


@pytest.mark.long
def test_an_image_with_packages_of_its_own_runs_in_the_local_cloud(tmp_path, index: Index, monkeypatch):
    """From a checkout with a file of requirements and its lock, by synthesis and deploy, to a run that imports them."""
    checkout = tmp_path / "checkout"
    for part in ("client/fanfold", "infra", "runtime"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "cdk.json"):
        shutil.copy(ROOT / name, checkout)
    index.add("ownedbyimage", "1.0")
    images = checkout / "runtime" / "images"
    (images / "mine.txt").write_text("ownedbyimage\n")
    lines = (ROOT / "runtime" / "fanfold.txt").read_text().splitlines()
    needed = [name for line in lines if (name := line.partition("#")[0].strip())]
    pins = [f"{name}=={version(name)} --hash=sha256:00" for name in needed]
    (images / "mine.lock").write_text("\n".join([*pins, "ownedbyimage==1.0 --hash=sha256:00"]))
    image = {"requirements": "runtime/images/mine.txt", "instance_types": ["small"]}
    (tmp_path / "cloud").mkdir()
    with LocalCloud(tmp_path / "cloud", wait_scale=0.1) as cloud:
        cloud.deploy({"instance_types": ["small"], "images": {"mine": image}}, checkout)
        point(monkeypatch, cloud)
        realtime = fanfold.submit(of_mine, [1], image="mine", engine="aws", collect=False)
        assert realtime.results() == ["1.0"]
        on_machine = fanfold.submit(of_mine, [1], image="mine", instance_type="small", engine="aws", collect=False)
        assert on_machine.results() == ["1.0"]
        with pytest.raises(fanfold.errors.CaptureError, match="ownedbyimage, which the deployment's image does not"):
            fanfold.submit(of_mine, [1], engine="aws")
