"""A deployment's secrets: in Secrets Manager, or as SecureStrings in SSM, below one prefix."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

from fanfold.core.options import check_secret_name
from fanfold.core.processes import Locked
from fanfold.environments.secrets import checked_value, missing_secret
from fanfold.errors import ConfigurationError
from fanfold.stores.aws.account import Account, Refused

#: A changed secret is seen by runs that begin so much later.
_KEPT_S = 300.0


class _Service(Protocol):
    """Where values are kept under whole names. `get` and `remove` raise `Refused` where there is none."""

    def get(self, path: str) -> str: ...
    def set(self, path: str, value: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def names(self, prefix: str) -> list[str]: ...


class DeploymentSecrets(Locked):
    """Secrets by name. `place` is where they are, as `secretsmanager:fanfold/main/` or `ssm:/team/prod/`."""

    def __init__(self, account: Account, place: str) -> None:
        super().__init__()
        service, _, self._prefix = place.partition(":")
        self._service: _Service | None = None
        if service == "secretsmanager":
            self._service = _SecretsManager(account)
        elif service == "ssm":
            self._service = _ParameterStore(account)
        self._known: dict[str, tuple[float, str]] = {}

    def get(self, name: str) -> str:
        """A secret's value, as of some minutes ago at most. Raises `ConfigurationError` where there is none."""
        with self.lock:
            at, value = self._known.get(name, (0.0, ""))
            if not value or time.monotonic() - at > _KEPT_S:
                try:
                    value = self._where().get(self._path(name))
                except Refused as refused:
                    raise _missing(name) from refused
                self._known[name] = time.monotonic(), value
            return value

    def set(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self._where().set(self._path(checked_value(name, value)), value)
        self._known.pop(name, None)

    def remove(self, name: str) -> None:
        """Forget a secret. Raises `ConfigurationError` where there is none."""
        try:
            self._where().remove(self._path(name))
        except Refused as refused:
            raise _missing(name) from refused
        self._known.pop(name, None)

    def names(self) -> list[str]:
        """The names of all; their values are not read."""
        found = self._where().names(self._prefix)
        return sorted(name.removeprefix(self._prefix) for name in found if name.startswith(self._prefix))

    def check(self, names: Iterable[str]) -> None:
        """Raises `ConfigurationError` where there are no secrets at all: who submits need not be able to read them."""
        for name in names:
            self._where()
            self._path(name)

    def _where(self) -> _Service:
        if self._service is None:
            raise ConfigurationError(
                "This deployment has no secrets.", next_step="deploy this version of Fanfold, see docs/secrets.md."
            )
        return self._service

    def _path(self, name: str) -> str:
        return f"{self._prefix}{check_secret_name(name)}"


class _SecretsManager:
    _MISSING = ("ResourceNotFoundException", "InvalidRequestException")

    def __init__(self, account: Account) -> None:
        self._account = account

    def get(self, path: str) -> str:
        answer = self._account.call(
            "secretsmanager", "get_secret_value", on=f"secret {path}", expected=self._MISSING, SecretId=path
        )
        return str(answer["SecretString"])

    def set(self, path: str, value: str) -> None:
        on = f"secret {path}"
        try:
            self._account.call(
                "secretsmanager",
                "put_secret_value",
                on=on,
                expected=self._MISSING,
                SecretId=path,
                SecretString=value,
            )
        except Refused:
            self._account.call("secretsmanager", "create_secret", on=on, Name=path, SecretString=value)

    def remove(self, path: str) -> None:
        self._account.call(
            "secretsmanager",
            "delete_secret",
            on=f"secret {path}",
            expected=self._MISSING,
            SecretId=path,
            ForceDeleteWithoutRecovery=True,
        )

    def names(self, prefix: str) -> list[str]:
        asked = [{"Key": "name", "Values": [prefix]}]
        answers = self._account.pages("secretsmanager", "list_secrets", on=f"secrets {prefix}", Filters=asked)
        return [one["Name"] for answer in answers for one in answer["SecretList"]]


class _ParameterStore:
    _MISSING = ("ParameterNotFound",)

    def __init__(self, account: Account) -> None:
        self._account = account

    def get(self, path: str) -> str:
        answer = self._account.call(
            "ssm", "get_parameter", on=f"secret {path}", expected=self._MISSING, Name=path, WithDecryption=True
        )
        return str(answer["Parameter"]["Value"])

    def set(self, path: str, value: str) -> None:
        asked: dict[str, Any] = {"Name": path, "Value": value, "Type": "SecureString", "Overwrite": True}
        self._account.call("ssm", "put_parameter", on=f"secret {path}", **asked)

    def remove(self, path: str) -> None:
        self._account.call("ssm", "delete_parameter", on=f"secret {path}", expected=self._MISSING, Name=path)

    def names(self, prefix: str) -> list[str]:
        asked = [{"Key": "Name", "Option": "BeginsWith", "Values": [prefix]}]
        answers = self._account.pages("ssm", "describe_parameters", on=f"secrets {prefix}", ParameterFilters=asked)
        return [one["Name"] for answer in answers for one in answer["Parameters"]]


def _missing(name: str) -> ConfigurationError:
    return missing_secret(name, "in the deployment", f"fanfold secret set {name} --engine aws")
