"""`secrets=` and `env=`: in a run's environment, and in nothing that is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.environments.secrets import HIDDEN, Redactor
from fanfold.errors import ConfigurationError, InputError
from fanfold.stores.aws.account import Account
from fanfold.stores.aws.secrets import DeploymentSecrets
from tests.cloud.permissions import ADMINISTRATOR_KEY, OPERATOR_KEY

#: With what JSON and Python write another way.
CANARY = 'kana"rienvogel\\ü-7781'


def secrets_as(key, place, monkeypatch):
    """The deployment's secrets for the one who signs with that key: the user policy may not set any."""
    with monkeypatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", key)
        account = Account()
        account.client(place.partition(":")[0])
    return DeploymentSecrets(account, place)


@pytest.fixture
def kept(engine, monkeypatch):
    """The secrets as who may set them has them."""
    if engine == "local":
        return engine_for("local").stores.secrets
    return secrets_as(OPERATOR_KEY, "secretsmanager:fanfold/main/", monkeypatch)


@pytest.fixture
def secret(kept):
    """A secret of this name, where the engine's runs find it."""
    kept.set("db-password", CANARY)
    return CANARY


@fanfold.udf(secrets=["db-password"], env={"MODE": "prod"})
def seen(x: int):
    """What a run and a program that it starts see."""
    import os
    import subprocess
    import sys

    program = "import os; print(os.environ['DB_PASSWORD'] + os.environ['MODE'])"
    child = subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "PYTHONUTF8": "1"}).decode()
    same = fanfold.secret("db-password") == os.environ["DB_PASSWORD"] == child.strip().removesuffix("prod")
    return [x, same, len(fanfold.secret("db-password")), os.environ["MODE"]]


def test_a_run_has_its_secrets_and_variables_in_its_environment(secret):
    assert fanfold.submit(seen, [1, 2], collect=False).results() == [[n, True, len(CANARY), "prod"] for n in (1, 2)]
    on_a_machine = fanfold.submit(seen, [1], instance_type="small", collect=False)
    assert on_a_machine.results() == [[1, True, len(CANARY), "prod"]]
    assert "DB_PASSWORD" not in os.environ


@fanfold.udf(secrets=["db-password"])
def careless(x: int):
    print("first", fanfold.secret("db-password"), flush=True)
    sys.stdout.write(fanfold.secret("db-password")[:5])
    sys.stdout.flush()
    sys.stdout.write(fanfold.secret("db-password")[5:] + " cut in two\n")
    if x:
        raise ValueError("no such login", fanfold.secret("db-password"))


def stored(folder):
    """Every byte below a folder, each file under its name."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def holds(data):
    return any(form.encode() in data for form in (CANARY, "kana", "rienvogel"))


def test_what_is_kept_of_a_job_holds_no_secret_however_careless_its_udf(secret, engine, home, on_engine_bytes):
    job = fanfold.submit(careless, [0, 1], collect=False, max_retry=0).wait()
    assert job.counts() == {"succeeded": 1, "failed": 1}
    assert repr(job.logs()).count(HIDDEN) == 4
    assert f"'no such login', '{HIDDEN}'" in str(job.errors()[1])
    assert HIDDEN in job.errors()[1].remote_traceback
    assert not holds(repr(job._repr_html_()).encode())
    assert [name for name, data in on_engine_bytes().items() if holds(data) and "secrets/" not in name] == []


@pytest.fixture
def on_engine_bytes(engine, home, request):
    """Reads every byte that the engine keeps: files here, objects and items in the cloud."""
    if engine == "local":
        return lambda: stored(home)
    client = request.getfixturevalue("on_cloud").client

    def everything():
        stores = engine_for("aws").stores
        found = dict(stored(home))
        for item in client("dynamodb").scan(TableName=stores.table.name)["Items"]:
            found[f"item {item.get('pk')} {item.get('sk')}"] = repr(item).encode()
        for one in client("s3").list_objects_v2(Bucket=stores.objects.bucket).get("Contents", []):
            found[one["Key"]] = client("s3").get_object(Bucket=stores.objects.bucket, Key=one["Key"])["Body"].read()
        assert len(found) > 5
        return found

    return everything


def test_a_secret_counts_by_its_name_and_a_variable_by_its_value_in_what_is_known_already(secret, kept):
    assert fanfold.submit(seen, [1], collect=False).wait().counts() == {"succeeded": 1}
    kept.set("db-password", "another value")
    assert fanfold.submit(seen, [1], collect=False).wait().counts() == {"cached": 1}
    other = seen.with_options(env={"MODE": "test"})
    assert fanfold.submit(other, [1], collect=False).wait().counts() == {"succeeded": 1}


def test_what_is_not_there_is_said_before_anything_starts_where_it_can_be():
    with pytest.raises(ConfigurationError, match="no secret 'nowhere' on this machine"):
        fanfold.submit(seen.with_options(secrets=["nowhere"]), [1])
    assert fanfold.get_jobs() == []
    with pytest.raises(ConfigurationError, match="fanfold secret set db-password"):
        fanfold.secret("db-password")


def test_a_run_in_the_cloud_says_which_secret_is_not_there(on_cloud):
    job = fanfold.submit(seen.with_options(secrets=["nowhere"]), [1], collect=False, max_retry=0).wait()
    assert "no secret 'nowhere' in the deployment" in str(job.errors()[0])


def test_a_run_that_does_not_ask_for_a_secret_has_none(secret):
    job = fanfold.submit(asks_not, [1], collect=False, max_retry=0).wait()
    assert '@udf(secrets=["db-password"])' in str(job.errors()[0])


@fanfold.udf
def asks_not(x: int):
    return os.environ.get("DB_PASSWORD") or fanfold.secret("db-password")


@pytest.mark.parametrize(
    "options",
    [
        {"secrets": "db"},
        {"secrets": ["path"]},
        {"secrets": ["../x"]},
        {"secrets": ["a-b", "a_b"]},
        {"env": ["A"]},
        {"env": {"A": 1}},
        {"env": {"FANFOLD_HOME": "x"}},
        {"env": {"db": "x", "DB": "y"}, "secrets": ["db"]},
    ],
)
def test_what_is_no_name_or_variable_is_refused(options):
    with pytest.raises(InputError):
        seen.with_options(**options)


def test_secrets_of_this_machine_are_files_that_nobody_else_may_read(home):
    secrets = engine_for("local").stores.secrets
    secrets.set("a-token", "value")
    assert (home / "secrets" / "a-token").stat().st_mode & 0o777 == 0o600
    assert (home / "secrets").stat().st_mode & 0o777 == 0o700
    assert secrets.names() == ["a-token"]
    secrets.remove("a-token")
    assert secrets.names() == []
    with pytest.raises(InputError, match="could not be hidden"):
        secrets.set("a-token", "abc")


def test_secrets_of_a_deployment_may_be_parameters_as_well(on_cloud, monkeypatch):

    for place in ("ssm:/team/prod/", "secretsmanager:team/prod/"):
        secrets = secrets_as(ADMINISTRATOR_KEY, place, monkeypatch)
        secrets.set("token", "first")
        secrets.set("token", "second")
        assert secrets_as(ADMINISTRATOR_KEY, place, monkeypatch).get("token") == "second"
        assert secrets.names() == ["token"]
        secrets.remove("token")
        with pytest.raises(ConfigurationError, match="no secret 'token'"):
            secrets.get("token")


def test_a_text_in_pieces_has_no_secret_wherever_it_is_cut():
    text = f"before {CANARY} after {CANARY[:-1]} end"
    for cut in range(len(text)):
        redactor = Redactor([CANARY])
        pieces = redactor.piece(text[:cut], last=False) + redactor.piece(text[cut:], last=True)
        assert pieces == f"before {HIDDEN} after {CANARY[:-1]} end"


def test_the_command_line_keeps_lists_and_forgets_secrets(home):
    def fanfold(*arguments, value=""):
        command = [sys.executable, "-m", "fanfold", "secret", *arguments]
        return subprocess.run(command, input=value, capture_output=True, text=True, check=True).stdout.strip()

    assert fanfold("set", "db-password", value="hunter2\n") == "db-password is kept"
    assert (home / "secrets" / "db-password").read_text() == "hunter2"
    assert fanfold("list") == "db-password"
    assert fanfold("remove", "db-password") == "db-password is forgotten"
    assert fanfold("list") == "no secrets"


VARIABLES = """
import os
import sys
import fanfold

API_KEY = os.environ["API_KEY"]
MODE: str = os.getenv("MODE", "quiet")
CHANGED = os.environ["API_KEY"]
CHANGED = CHANGED.upper()

@fanfold.udf(cache_max_age=0)
def read(x: int):
    return [len(API_KEY), MODE, CHANGED]

if __name__ == "__main__":
    job = fanfold.submit(read, [1], collect=False, max_retry=0).wait()
    print(job.results() if not job.errors() else job.errors()[0])
    if "given" in sys.argv:
        job = fanfold.submit(read.with_options(env={"API_KEY": "from the cloud"}), [1], collect=False)
        print(job.results())
"""


def test_a_variable_that_a_file_reads_at_its_top_travels_by_its_name(engine, home, on_engine_bytes, tmp_path):
    """`CHANGED` is not what its variable is, so it is shipped as it is."""
    (tmp_path / "script.py").write_text(VARIABLES)
    environment = {**os.environ, "API_KEY": "kana-9917-x", "FANFOLD_ENGINE": engine}
    command = [sys.executable, tmp_path / "script.py", "given"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, *_, last = done.stdout.strip().split("\n")
    assert last == "[[14, 'quiet', 'KANA-9917-X']]"
    if engine == "local":
        assert first == "[[11, 'quiet', 'KANA-9917-X']]"
    else:
        assert "no such variable" in done.stdout
        assert 'secrets=["api_key"]' in done.stderr
    assert [name for name, data in on_engine_bytes().items() if b"kana-9917-x" in data] == []


class Ring:
    """What the package `keyring` offers of its module: values by service and name, unless it is locked."""

    def __init__(self):
        self.values, self.locked = {}, False

    def get_password(self, service, name):
        if self.locked:
            raise LookupError("locked")
        return self.values.get((service, name))

    def set_password(self, service, name, value):
        if self.locked:
            raise LookupError("locked")
        self.values[service, name] = value

    def delete_password(self, service, name):
        if self.values.pop((service, name), None) is None:
            raise LookupError(name)


@pytest.fixture
def ring(monkeypatch):
    made = Ring()
    monkeypatch.setitem(sys.modules, "keyring", made)
    monkeypatch.setitem(sys.modules, "keyring.errors", SimpleNamespace(KeyringError=LookupError))
    return made


def test_where_keyring_is_installed_a_secret_is_there_and_in_no_file(home, ring):
    secrets = engine_for("local").stores.secrets
    secrets.set("db-password", CANARY)
    assert list(ring.values.values()) == [CANARY]
    assert not [path for path, data in stored(home).items() if CANARY.encode() in data]
    assert secrets.names() == ["db-password"]
    assert fanfold.run(seen, x=1) == [1, True, len(CANARY), "prod"]
    secrets.remove("db-password")
    assert (ring.values, secrets.names()) == ({}, [])
    with pytest.raises(ConfigurationError, match="no secret 'db-password' on this machine"):
        secrets.get("db-password")


def test_a_keyring_that_is_locked_is_named_and_a_new_secret_goes_into_a_file(home, ring):
    secrets = engine_for("local").stores.secrets
    secrets.set("db-password", CANARY)
    ring.locked = True
    with pytest.raises(ConfigurationError, match="in this machine's keyring, which does not give it"):
        fanfold.submit(seen, [1])
    secrets.set("openai", CANARY)
    assert secrets.get("openai") == CANARY
    assert (home / "secrets" / "openai").stat().st_mode & 0o777 == 0o600
    ring.locked = False
    assert (secrets.get("openai"), secrets.get("db-password")) == (CANARY, CANARY)
    secrets.set("openai", "another-one")
    assert (home / "secrets" / "openai").read_text() == ""
    assert secrets.get("openai") == "another-one"


def s3_addresses():
    return [os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT", "AWS_HTTPS", "DUCKDB_S3_ENDPOINT")]


def test_an_address_of_s3_is_said_to_gdal_and_duckdb_too_unless_they_are_told_another(engine):
    """In the local cloud, too, whose own address they are told by default."""
    udf = fanfold.udf(s3_addresses, env={"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_HTTPS": "YES"})
    before = dict(os.environ)
    assert fanfold.run(udf, cache=False) == ["http://minio:9000", "minio:9000", "YES", "minio:9000"]
    assert dict(os.environ) == before
