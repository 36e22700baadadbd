"""Secrets by their names: where this machine keeps them, and what hides their values in texts.

A value goes from where it is kept into the environment of the worker's process, and nowhere else: no file of a job's,
no message, no key has it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from fanfold.codec.registry import HIDDEN
from fanfold.codec.sealed import KEY_BYTES, SHORTEST, Sealing, SealingKey
from fanfold.core.options import check_secret_name
from fanfold.core.unfinished import unfinished, write_privately
from fanfold.errors import ConfigurationError, InputError


class SystemKeyring:
    """The keyring of the system, by the package `keyring`; each home has a service of its own in it."""

    def __init__(self, home: Path) -> None:
        self._service = f"fanfold {home}"

    def get(self, name: str) -> str | None:
        """A value; None where there is none, or the keyring cannot be opened or is not installed any more."""
        return self._ask("get_password", name)

    def set(self, name: str, value: str) -> bool:
        """Keep a value; False where this machine has no keyring, or it is locked."""
        self._ask("set_password", name, value)
        return self._ask("get_password", name) == value

    def remove(self, name: str) -> None:
        """Forget a value, where there is one."""
        self._ask("delete_password", name)

    def _ask(self, what: str, *arguments: str) -> str | None:
        try:
            keyring = import_module("keyring")
            failures = import_module("keyring.errors").KeyringError
        except ImportError:
            return None
        try:
            answer: str | None = getattr(keyring, what)(self._service, *arguments)
        except failures:
            return None
        return answer


class SecretFiles:
    """Secrets of this machine: in the system's keyring where the package `keyring` is installed, else in files.

    Each has a file of mode 600 in the home, which is empty where the value is in the keyring: a value never is.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "secrets"
        self._keyring = SystemKeyring(home)

    def get(self, name: str) -> str:
        """A secret's value. Raises `ConfigurationError` where there is none, or the keyring does not give it."""
        try:
            value = (self._folder / check_secret_name(name)).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise missing_secret(name, "on this machine", f"fanfold secret set {name}") from None
        if value:
            return value
        kept = self._keyring.get(name)
        if not kept:
            raise ConfigurationError(
                f"The secret {name!r} is in this machine's keyring, which does not give it.",
                next_step="unlock the keyring (and have the package `keyring` installed), or set the secret again.",
            )
        return kept

    def set(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        path = self._folder / check_secret_name(checked_value(name, value))
        value = "" if self._keyring.set(name, value) else value
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_privately(path, value.encode())

    def remove(self, name: str) -> None:
        """Forget a secret. Raises `ConfigurationError` where there is none."""
        path = self._folder / check_secret_name(name)
        if not path.exists():
            self.get(name)
        self._keyring.remove(name)
        with suppress(FileNotFoundError):
            path.unlink()

    def names(self) -> list[str]:
        """The names of all."""
        return sorted(path.name for path in self._folder.glob("[A-Za-z]*"))

    def check(self, names: Iterable[str]) -> None:
        """Raises `ConfigurationError` for one that is not there."""
        for name in names:
            self.get(name)


class SealingFile:
    """The key that the secret arguments of this machine's jobs are sealed by: one of a home, in a file of mode 600."""

    def __init__(self, home: Path) -> None:
        self._path = home / "sealing.key"

    def sealing(self, kept: str = "") -> Sealing:
        """What seals a submission; `kept` is what the job's header keeps of it already."""
        return Sealing(self._made, kept)

    def read(self) -> SealingKey:
        """The key. Raises `ConfigurationError` where there is none that this user may read."""
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"The key of this home's secret arguments cannot be read: {self._path}: {error.strerror}.",
                next_step="submit the job again, with the secret, in a home of your own (FANFOLD_HOME).",
            ) from error
        return SealingKey(data[:KEY_BYTES], data[KEY_BYTES:])

    def _made(self) -> tuple[SealingKey, str]:
        if not self._path.exists():
            self._make()
        key = self.read()
        return key, f"home {key.label}"

    def _make(self) -> None:
        """Write a new key, if no other process has by now: whole, or not at all."""
        part = unfinished(self._path)
        fd = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(os.urandom(2 * KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, self._path)
        part.unlink()


def checked_value(name: str, value: str) -> str:
    """The name again. Raises `InputError` for a value that could not be hidden in a text, or be a variable's."""
    if len(value) < SHORTEST or "\0" in value:
        raise InputError(
            f"The value of {name} is too short, or has a zero byte: it could not be hidden where it is printed.",
            next_step=f"a secret has at least {SHORTEST} characters; what is not secret goes by @udf(env=...).",
        )
    return name


def missing_secret(name: str, where: str, command: str) -> ConfigurationError:
    """The error for a secret that is not there."""
    return ConfigurationError(f"There is no secret {name!r} {where}.", next_step=f"`{command}` keeps one.")


class Redactor:
    """Hides values in texts, also where a text comes in pieces."""

    def __init__(self, values: Iterable[str]) -> None:
        said = {form for value in values for form in _forms(value)}
        self._values = sorted(said, key=len, reverse=True)  # of one within another the longer
        self._held = ""

    def whole(self, text: str) -> str:
        """The text with `HIDDEN` for each value."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return text

    def piece(self, text: str, *, last: bool) -> str:
        """As `whole`, for one piece of a text: what may be the beginning of a value is held back for the next one."""
        text, self._held = self.whole(self._held + text), ""
        if not last and (kept := self._beginning_at_end(text)):
            text, self._held = text[:-kept], text[-kept:]
        return text

    def _beginning_at_end(self, text: str) -> int:
        longest = max(map(len, self._values), default=0)
        for kept in range(min(len(text), longest - 1), 0, -1):
            if any(value.startswith(text[-kept:]) for value in self._values):
                return kept
        return 0


def _forms(value: str) -> set[str]:
    """A value as it is, and as it stands within JSON and within a Python literal."""
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
