"""From an empty home to the first run in a deployment that is there: an operator, then an analyst."""

from __future__ import annotations

import pytest

from tests.person import ROOT, Person, only_the_wheel

pytestmark = pytest.mark.cloud

SQUARED = "import fanfold\n\n@fanfold.udf\ndef squared(x: int):\n    return x * x\n"


@pytest.fixture
def person(on_cloud, tmp_path):
    """The command line on a machine on which nothing of Fanfold or AWS is known; what it prints."""
    (tmp_path / "square.py").write_text(SQUARED, encoding="utf-8")
    return Person(tmp_path, tmp_path / "me").fanfold


def aws_configure(home, told):
    """Leave what `aws configure` leaves; the emulator's address stands there, where people have AWS's own."""
    keys = f"aws_access_key_id = {told['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {told['AWS_SECRET_ACCESS_KEY']}\n"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    (home / ".aws" / "config").write_text(f"[default]\nendpoint_url = {told['AWS_ENDPOINT_URL']}\n")


def test_from_aws_configure_to_the_first_run_and_a_file_of_data(person, on_cloud, tmp_path):
    assert "There are no AWS credentials" in person("connect", "main", "--region", "us-east-1", ends=2)
    aws_configure(tmp_path / "me", on_cloud.environment())
    refused = person("submit", "square.py", "3", "--engine", "aws", ends=2)
    assert "Next: `fanfold connect NAME` names one for good" in refused
    wrong = person("connect", "mian", "--region", "us-east-1", ends=2)
    assert "There is no deployment 'mian' in us-east-1, or these credentials may not use it." in wrong
    assert "Next: check its name, region and account" in wrong
    config = tmp_path / "me" / ".fanfold" / "config.toml"
    assert not config.exists()
    assert "names the deployment 'main' now." in person("connect", "main", "--region", "us-east-1")
    assert config.read_text() == 'deployment = "main"\nregion = "us-east-1"\n'
    looked = person("doctor")
    assert "ok    concurrency        1,000 realtime runs at once" in looked
    assert "could not be asked" not in looked
    submitted = person("submit", "square.py", "3", "--json")
    assert '"engine": "aws"' in submitted
    assert '"succeeded": 1' in submitted
    assert person("cp", "square.py", "data:") == f"data:square.py: {len(SQUARED)} B\n"


def test_an_analyst_needs_the_wheel_and_one_line(on_cloud, tmp_path):
    analyst = Person(tmp_path, tmp_path / "me", only_the_wheel(tmp_path))
    where = analyst.python("-c", "import fanfold; print(fanfold.__file__)")
    assert where.startswith(str(tmp_path))
    assert not where.startswith(str(ROOT))
    (tmp_path / "square.py").write_text(SQUARED, encoding="utf-8")
    aws_configure(tmp_path / "me", on_cloud.environment())
    analyst.fanfold("connect", "main", "--region", "us-east-1")
    submitted = analyst.fanfold("submit", "square.py", "3", "4", "-o", "squares.csv")
    assert "squares.csv: 2 rows" in submitted
    assert (tmp_path / "squares.csv").read_text() == "x,result\n3,9\n4,16\n"
    assert "squared" in analyst.fanfold("jobs")
