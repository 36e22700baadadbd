"""`fanfold cp` and `fanfold ls` move files to where UDFs find them and back, here and in a deployment, by one name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app
from fanfold.engines.base import engine_for
from fanfold.errors import InputError

pytestmark = pytest.mark.cloud


@pytest.fixture
def command(engine, tmp_path, monkeypatch):
    """The command line in an empty folder; what it prints."""
    monkeypatch.chdir(tmp_path)
    return printed_by


def printed_by(*words: str) -> str:
    """What a command prints that goes well."""
    ended = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


@fanfold.udf
def read(name: str):
    import boto3

    path = fanfold.data_path(name)
    if not path.startswith("s3://"):
        return Path(path).read_text()
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def test_a_file_goes_to_where_runs_find_it_and_a_folder_comes_back(command):
    Path("tiles/a").mkdir(parents=True)
    Path("tiles/1.txt").write_text("one")
    Path("tiles/a/2.txt").write_text("two")
    assert command("cp", "tiles", "data:") == "2 files copied, 6 B\n"
    assert command("cp", "tiles/1.txt", "data:other.txt") == "data:other.txt: 3 B\n"
    assert fanfold.run(read, name="tiles/a/2.txt", cache=False) == "two"
    assert [row["name"] for row in json.loads(command("ls", "--json"))] == ["other.txt", "tiles/"]
    every = json.loads(command("ls", "tiles", "-r", "--json"))
    assert [(row["name"], row["bytes"]) for row in every] == [("tiles/1.txt", 3), ("tiles/a/2.txt", 3)]
    command("cp", "data:tiles", "back")
    assert sorted(str(path) for path in Path("back").rglob("*.txt")) == ["back/1.txt", "back/a/2.txt"]
    command("cp", "data:tiles/a", "back")  # which is there: it goes in under its own name, and replaces
    assert Path("back/a/2.txt").read_text() == "two"
    command("cp", fanfold.data_path("other.txt"), "by-its-address.txt")
    assert Path("by-its-address.txt").read_text() == "one"


def test_a_folder_goes_with_what_lies_behind_links_but_not_round(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/deep/2.txt").write_text("two")
    Path("tiles").mkdir()
    Path("tiles/.hidden").write_text("!")
    Path("tiles/linked").symlink_to(tmp_path / "elsewhere")
    Path("tiles/round").symlink_to("..")
    Path("tiles/itself").symlink_to("itself")
    Path("tiles/nowhere").symlink_to("nothing")
    ended = CliRunner().invoke(app, ["cp", "tiles", "data:"])
    assert ended.exit_code == 0, ended.output
    assert "left out: tiles/itself leads nowhere\nleft out: tiles/nowhere leads nowhere\n" in ended.stderr
    names = [row["name"] for row in json.loads(printed_by("ls", "tiles", "-r", "--json"))]
    assert names[:2] == ["tiles/.hidden", "tiles/linked/deep/2.txt"]
    assert [name for name in names if name.count("round")] == names[2:]
    assert not [name for name in names if "round/tiles" in name]


def test_what_a_person_links_into_the_folder_of_data_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large").mkdir()
    (tmp_path / "large/1.txt").write_text("one")
    folder = Path(fanfold.data_path("linked"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(tmp_path / "large")
    (folder.parent / "nowhere").symlink_to("nothing")
    assert [row["name"] for row in json.loads(printed_by("ls", "-r", "--json"))] == ["linked/1.txt"]
    printed_by("cp", "data:linked", "back")
    assert Path("back/1.txt").read_text() == "one"


def test_what_is_not_there_or_leads_elsewhere_is_refused_by_name(command):
    Path("x").write_text("x")
    for words, said in (
        (["cp", "data:nothing", "."], "There is no data:nothing."),
        (["cp", "x", "y"], "Neither x nor y is in data:."),
        (["cp", "data:nothing", "s3://another/y"], "s3://another/y is neither a path here nor data:NAME."),
        (["cp", "x", "data:../y"], "data:../y leads elsewhere."),
        (["ls", "nothing"], "There is no data:nothing."),
    ):
        ended = CliRunner().invoke(app, words)
        assert (ended.exit_code != 0, said in ended.stderr) == (True, True), (words, ended.stderr)


def test_no_file_of_a_colleague_is_written_outside_of_the_folder_that_it_goes_to(on_cloud, cloud_account, tmp_path):
    bucket = engine_for("aws").stores.objects.bucket
    name = "data/traps/../../escaped"
    cloud_account.call("s3", "put_object", on="a trap", Bucket=bucket, Key=name, Body=b"!")
    ended = CliRunner().invoke(app, ["cp", "data:traps", str(tmp_path / "in"), "--engine", "aws"])
    assert "leads elsewhere" in ended.stderr
    assert list(tmp_path.rglob("escaped")) == []


def test_a_file_that_ends_while_it_is_copied_is_not_half_there(tmp_path, monkeypatch):
    data = engine_for("local").stores.data
    (tmp_path / "x").write_text("old")
    data.upload([(tmp_path / "x", "x")])
    (tmp_path / "x").unlink()
    with pytest.raises(fanfold.errors.StoreError, match="could not be copied"):
        data.upload([(tmp_path / "x", "x")])
    assert [one.name for one in data.beginning("")] == ["x"]
    data.download([("x", tmp_path / "back")])
    assert (tmp_path / "back").read_text() == "old"
    with pytest.raises(InputError, match=r"There is no data:y\."):
        data.download([("y", tmp_path / "back")])
