"""Where each setting comes from: configure() beats the environment beats the config file beats the default."""

from __future__ import annotations

from pathlib import Path

import pytest

import fanfold
from fanfold import settings

TABLE = [
    # setting, environment, a value that each place gives
    ("engine", "FANFOLD_ENGINE", "local", "aws", "local"),
    ("deployment", "FANFOLD_DEPLOYMENT", "told", "environment", "file"),
    ("region", "FANFOLD_REGION", "eu-west-1", "eu-west-2", "eu-west-3"),
    ("profile", "FANFOLD_PROFILE", "told", "environment", "file"),
    ("owner", "FANFOLD_OWNER", "ada", "grace", "mary"),
    ("prices", "FANFOLD_PRICES", "told.toml", "environment.toml", "file.toml"),
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for _, variable, *_ in TABLE:
        monkeypatch.delenv(variable, raising=False)


def write(home: Path, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("name", "variable", "told", "in_environment", "in_file"), TABLE)
def test_the_leftmost_place_that_gives_a_setting_wins(name, variable, told, in_environment, in_file, home, monkeypatch):
    write(home, f'{name} = "{in_file}"')
    assert getattr(settings.current(), name) == in_file
    monkeypatch.setenv(variable, in_environment)
    assert getattr(settings.current(), name) == in_environment
    fanfold.configure(**{name: told})
    assert getattr(settings.current(), name) == told


@pytest.mark.parametrize("name", ["deployment", "region", "profile", "prices"])
def test_what_nobody_gives_is_none(name):
    assert getattr(settings.current(), name) is None


def test_home_is_told_or_in_the_environment_or_below_the_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path / "environment"))
    assert settings.current().home == tmp_path / "environment"
    fanfold.configure(home=tmp_path / "told")
    assert settings.current().home == tmp_path / "told"
    settings.reset()
    monkeypatch.delenv("FANFOLD_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.current().home == tmp_path / ".fanfold"


def test_home_may_start_with_a_tilde_and_be_relative(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fanfold.configure(home="~/kept").home == tmp_path / "kept"
    monkeypatch.chdir(tmp_path)
    assert fanfold.configure(home="here").home == tmp_path / "here"


def test_the_engine_is_aws_with_a_deployment_and_else_local():
    assert settings.current().engine == "local"
    assert fanfold.configure(deployment="team").engine == "aws"
    assert fanfold.configure(engine="local").engine == "local"


def test_the_owner_is_the_account_on_this_machine(monkeypatch):
    monkeypatch.setenv("USER", "emmy")
    assert settings.current().owner == "emmy"


def test_an_account_without_a_name_goes_by_its_number(monkeypatch):
    import getpass

    for variable in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found")))
    assert settings.current().owner.startswith("uid-")


def test_configure_keeps_what_it_is_not_told():
    fanfold.configure(owner="ada")
    assert fanfold.configure(region="eu-west-1").owner == "ada"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engine = ", r"config\.toml is not TOML"),
        ('engin = "local"', r"config\.toml sets engin, which Fanfold does not know\.\n  Next: keep to engine"),
        ('home = "/elsewhere"', "sets home"),
        ('engine = "moon"', "no engine 'moon'"),
    ],
    ids=["no TOML", "misspelt", "home cannot say where home is", "no such engine"],
)
def test_a_config_file_that_is_wrong_says_so(home, text, says):
    write(home, text)
    with pytest.raises(fanfold.ConfigurationError, match=says):
        settings.current()


def test_a_config_file_that_cannot_be_read_says_so(home):
    (home / "config.toml").mkdir(parents=True)
    with pytest.raises(fanfold.ConfigurationError, match=r"config\.toml cannot be read"):
        settings.current()


def test_the_table_in_the_documentation_lists_every_setting():
    assert settings.__doc__ is not None
    for name in (*settings.Settings._fields,):
        assert f"| {name} " in settings.__doc__


def test_a_setting_that_is_none_is_refused_with_those_that_are():
    before = fanfold.configure(owner="ada")
    with pytest.raises(fanfold.ConfigurationError, match="given hom, which Fanfold does not know") as refused:
        fanfold.configure(hom="x", owner="eve")
    assert "did you mean home? it takes home, engine, deployment," in refused.value.next_step
    with pytest.raises(fanfold.ConfigurationError, match=r"given speed, .*\n  Next: it takes home"):
        fanfold.configure(speed=9)
    assert fanfold.configure() == before


def test_what_was_refused_is_not_kept():
    before = fanfold.configure(owner="ada")
    with pytest.raises(fanfold.ConfigurationError, match="There is no engine 'moon'"):
        fanfold.configure(engine="moon", owner="eve")
    assert fanfold.configure() == before


def test_settings_are_written_into_the_file_beside_what_it_says_already(home):
    write(home, '# mine\nowner = "ada"\nregion = "eu-west-1"\n\n[prices]\nas_of = "2026-11"\n')
    path = settings.write_to_file({"deployment": "main", "region": None, "profile": 'a "b"'})
    assert path.read_text(encoding="utf-8") == (
        '# mine\nowner = "ada"\ndeployment = "main"\nprofile = "a \\"b\\""\n\n[prices]\nas_of = "2026-11"\n'
    )
    assert (settings.current().deployment, settings.current().profile) == ("main", 'a "b"')
    assert settings.current().region is None


def test_a_file_that_is_no_toml_is_left_as_it_is(home):
    write(home, "region = eu-west-1")
    with pytest.raises(fanfold.errors.ConfigurationError):
        settings.write_to_file({"deployment": "main"})
    assert (home / "config.toml").read_text() == "region = eu-west-1"
