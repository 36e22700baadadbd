"""Whose credentials a UDF sees: the deployment's data role's, never those that write Fanfold's own records."""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from fanfold.contract.cloud import (
    DATA_PREFIX,
    ENV_BUCKET,
    ENV_DATA_ROLE,
    ENV_JOB,
    ENV_SECRETS,
    ENV_TABLE,
    endpoint_variables,
)
from fanfold.contract.layout import ENV_DATA, ENV_RUN_AS
from fanfold.stores.aws.account import Account
from fanfold_runtime.duckdb_extensions import link_extensions

#: What leads to the runtime's own credentials, records or invocations.
_OURS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        ENV_DATA_ROLE,
    }
)
#: What is for the runtime alone. A script that a UDF starts finds its own folder on its path, as everywhere else.
_NOT_FOR_UDFS = frozenset(
    {"AWS_LAMBDA_RUNTIME_API", "_HANDLER", "PYTHONSAFEPATH", ENV_TABLE, ENV_BUCKET, ENV_JOB, ENV_SECRETS}
)

#: A role that assumes a role gets an hour, whatever it asks for.
_SESSION_S = 3600
#: What its sessions are called: this, and whose they are, in what AWS allows there.
_SESSION, _SESSION_CHARACTERS, _NOT_IN_SESSIONS = "fanfold", 64, re.compile(r"[^\w+=,.@-]", re.ASCII)
#: Credentials with less time left are renewed before another run begins: the longest realtime run and some more.
_FRESH = timedelta(minutes=5)


class Credentials(NamedTuple):
    """Temporary credentials of the data role."""

    key_id: str
    secret: str
    token: str
    expires: datetime

    @property
    def fresh(self) -> bool:
        """Whether a realtime run that begins now ends before they do."""
        return self.expires - datetime.now(timezone.utc) > _FRESH


class DataRole:
    """Assumes the deployment's data role, as often as its credentials need it. Any thread may ask.

    Its sessions are named for whose run it is: CloudTrail and the logs of a bucket show who has read what.
    """

    def __init__(self, account: Account, arn: str) -> None:
        self._account = account
        self.arn = arn
        self._session = _SESSION
        self._credentials: Credentials | None = None
        self._lock = threading.Lock()

    def serve(self, *whose: str) -> None:
        """Be the role of these from now on: an owner, or an owner and a job."""
        named = _NOT_IN_SESSIONS.sub("-", "@".join((_SESSION, *whose)))[:_SESSION_CHARACTERS]
        with self._lock:
            if named != self._session:
                self._session, self._credentials = named, None

    def credentials(self) -> Credentials:
        """Credentials that are good for a while. Raises `ConfigurationError` where the role cannot be assumed."""
        with self._lock:
            if self._credentials is None or not self._credentials.fresh:
                self._credentials = self._assume()
            return self._credentials

    def _assume(self) -> Credentials:
        answer = self._account.call(
            "sts",
            "assume_role",
            on=f"role {self.arn}",
            RoleArn=self.arn,
            RoleSessionName=self._session,
            DurationSeconds=_SESSION_S,
        )["Credentials"]
        return Credentials(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], answer["Expiration"]
        )


def udf_environment(environment: Mapping[str, str], given: Mapping[str, str] | None, home: str = "") -> dict[str, str]:
    """What a UDF's process sees of `environment`: with the credentials `given`, or, where None, those there are.

    `home`: its home, by default the folder for temporary files.
    """
    hidden = _NOT_FOR_UDFS if given is None else _NOT_FOR_UDFS | _OURS
    seen = {name: value for name, value in environment.items() if name not in hidden}
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    elsewhere = endpoint_variables(endpoint) if endpoint else {}
    bucket = environment.get(ENV_BUCKET)
    data = {ENV_DATA: f"s3://{bucket}/{DATA_PREFIX}"} if bucket else {}
    home = home or tempfile.gettempdir()
    link_extensions(home)
    return {**elsewhere, **seen, **data, **_home(home), **(given or {})}


def _home(folder: str) -> dict[str, str]:
    """A home that a UDF can write to, and libraries keep their caches in; the runtime's own is part of the image."""
    cache = os.path.join(folder, ".cache")
    return {"HOME": folder, "XDG_CACHE_HOME": cache, "MPLCONFIGDIR": os.path.join(cache, "matplotlib")}


def as_variables(credentials: Credentials) -> dict[str, str]:
    """Credentials as environment variables, which every library understands; they cannot be renewed there."""
    return {
        "AWS_ACCESS_KEY_ID": credentials.key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret,
        "AWS_SESSION_TOKEN": credentials.token,
    }


class CredentialsServer:
    """Hands the data role's credentials to UDFs that run longer than an hour, in the way ECS does to containers."""

    def __init__(self, role: DataRole, folder: Path) -> None:
        self._arn = role.arn
        self._password = secrets.token_urlsafe(32)
        #: Libraries built on object_store (polars, deltalake, lance) take the address only with a token's file.
        self._token_file = folder / "credentials-token"
        with suppress(FileNotFoundError):
            self._token_file.unlink()
        with open(
            os.open(self._token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii"
        ) as file:
            file.write(self._password)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(role, self._password))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="fanfold-credentials", daemon=True).start()

    def as_variables(self) -> dict[str, str]:
        """What leads AWS's libraries here."""
        return {
            ENV_RUN_AS: self._arn,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self._server.server_address[1]}/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._password,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self._token_file),
        }

    def close(self) -> None:
        """Hand out no more."""
        self._server.shutdown()
        self._server.server_close()
        with suppress(FileNotFoundError):
            self._token_file.unlink()


def _handler(role: DataRole, password: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not secrets.compare_digest(self.headers.get("Authorization", ""), password):
                self.send_error(403)
                return
            body = json.dumps(_as_ecs_says_it(role.credentials())).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing that has to do with credentials is logged."""

    return Handler


def _as_ecs_says_it(credentials: Credentials) -> dict[str, str]:
    return {
        "AccessKeyId": credentials.key_id,
        "SecretAccessKey": credentials.secret,
        "Token": credentials.token,
        "Expiration": credentials.expires.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def data_role(account: Account, environment: Mapping[str, str] = os.environ) -> DataRole | None:
    """The deployment's data role, if it has one."""
    arn = environment.get(ENV_DATA_ROLE)
    return DataRole(account, arn) if arn else None
