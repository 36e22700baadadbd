"""One dated table of prices, and a setting that gives others in its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import fanfold
from fanfold.contract.instances import HOSTS, LIST_PRICES
from fanfold.core.pricing import prices

TOML = """
as_of = "2031-01"
region = "eu-central-1"
lambda_gb_second = 0.00002
[per_hour]
"c5.large" = 0.097
"""


def test_the_list_is_dated_and_has_every_machine_on_demand_and_spot():
    assert LIST_PRICES.as_of
    assert LIST_PRICES.region
    assert LIST_PRICES.per_hour.keys() == LIST_PRICES.spot_per_hour.keys() == HOSTS.keys()
    for host in HOSTS.values():
        assert 0 < LIST_PRICES.machine(host.name, spot=True) < LIST_PRICES.machine(host.name) == host.usd_per_hour


def test_without_the_setting_the_list_is_in_force():
    assert prices() == LIST_PRICES


def test_a_file_of_toml_or_json_replaces_what_it_names(tmp_path, monkeypatch):
    toml, as_json = tmp_path / "prices.toml", tmp_path / "prices.json"
    toml.write_text(TOML)
    as_json.write_text(json.dumps({"as_of": "2031-02", "spot_per_hour": {"m5.large": 0.01}}))
    monkeypatch.setenv("FANFOLD_PRICES", str(toml))
    found = prices()
    assert (found.as_of, found.region, found.lambda_gb_second) == ("2031-01", "eu-central-1", 0.00002)
    assert found.machine("c5.large") == 0.097
    assert found.machine("m5.large") == LIST_PRICES.machine("m5.large")
    fanfold.configure(prices=as_json)
    assert prices().machine("m5.large", spot=True) == 0.01
    assert prices().lambda_gb_second == LIST_PRICES.lambda_gb_second


def test_a_table_in_the_config_file_replaces_them_too(home):
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text('[prices]\nas_of = "2031-03"\nlambda_request = 0.5\n')
    assert (prices().as_of, prices().lambda_request) == ("2031-03", 0.5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"as_of": "2031-01", "lambda": 1.0}, "there is no price lambda"),
        ({"lambda_request": 1.0}, r'prices have a date\.\n  Next: say as of when they are, such as as_of = "2026-11"'),
        ({"as_of": "2031-01", "s3_put": "cheap"}, "s3_put is 'cheap'"),
        ({"as_of": "2031-01", "s3_put": -1}, "s3_put is -1"),
        ({"as_of": "2031-01", "per_hour": {"small": 1}}, r"per_hour: small is not an EC2 machine"),
        ({"as_of": "2031-01", "per_hour": 3}, "per_hour is 3"),
    ],
)
def test_prices_that_are_none_are_refused_by_name(given, says):
    fanfold.configure(prices=given)
    with pytest.raises(fanfold.ConfigurationError, match=says):
        prices()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("prices.toml", "as_of = ", r"prices\.toml is not TOML"),
        ("prices.json", "{", r"prices\.json is not JSON"),
        ("prices.json", "[]", "holds no JSON object"),
        ("missing.toml", None, r"missing\.toml cannot be read.*\n  Next: set FANFOLD_PRICES"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path, name, text, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    fanfold.configure(prices=str(tmp_path / name))
    with pytest.raises(fanfold.ConfigurationError, match=says):
        prices()


def test_the_example_in_the_documentation_is_one(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/deployment.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "prices.toml").write_text(example)
    monkeypatch.setenv("FANFOLD_PRICES", str(tmp_path / "prices.toml"))
    assert prices().machine("c5.large", spot=True) == 0.041
