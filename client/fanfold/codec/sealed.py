"""Secret values: pydantic's `SecretStr`, `SecretBytes` and `Secret`, and classes that extend them.

They are written under a key, by AES in the synthetic-IV mode (RFC 5297): the same value under the same key gives the
same text, and nobody without the key reads it or changes it unnoticed. Beside it stands a name, a keyed digest that is
the same for every job of a home or a deployment: cache keys go by it, and never by the value.

Who writes or reads without a key writes nothing, and reads `Sealed`, which shows `**********`.
"""

from __future__ import annotations

import hmac
import re
from _thread import _local as local  # `threading` itself would be one more import of a worker's
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fanfold.codec.encoded import Encoded
from fanfold.codec.registry import HIDDEN
from fanfold.contract.records import NamedTuple
from fanfold.errors import CodecError, MissingPackage

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

#: Bytes of a key of AES-256 in this mode, which takes two.
KEY_BYTES = 64
#: A shorter value would hide half of every text.
SHORTEST = 4

_SEALED = re.compile(r'"\$sealed":\["(\w+)","([0-9a-f]{64})","([0-9a-f]*)","([A-Za-z0-9+/=]*)"\]')
#: The classes that a tag names; an object of another class is a node of a graph around its state.
_KINDS = ("SecretStr", "SecretBytes", "Secret")
_STATE = "state"


class SealingKey(NamedTuple):
    """What seals and opens one job's secrets, and what their names are made with."""

    values: bytes
    names: bytes = b""

    @property
    def label(self) -> str:
        """Tells this key from others, and nothing else of it."""
        return sha256(b"fanfold sealing key" + self.values).hexdigest()[:16]


class Sealing:
    """What one submission seals by: a key that is made, or fetched, for the first secret.

    `make` gives the key and what the job's header is to keep of it; `kept` is what it keeps already.
    """

    def __init__(self, make: Callable[[], tuple[SealingKey, str]], kept: str = "") -> None:
        self._make = make
        self._key: SealingKey | None = None
        self.kept = kept

    @property
    def key(self) -> SealingKey:
        """The key. Raises `ConfigurationError` where there can be none."""
        if self._key is None:
            self._key, self.kept = self._make()
        return self._key

    @property
    def label(self) -> str:
        """The label of the key."""
        return self.kept.split(" ")[1] if self.kept else self.key.label


class Sealed:
    """A secret as somebody sees it who reads a job: that it is one, and whether it is the same as another."""

    __slots__ = ("kind", "label", "name", "token")

    def __init__(self, kind: str, name: str, label: str, token: str) -> None:
        self.kind, self.name, self.label, self.token = kind, name, label, token

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and (self.kind, self.name) == (other.kind, other.name)

    def __hash__(self) -> int:
        return hash((self.kind, self.name))


class _InUse(local):
    """By what the present thread seals and opens."""

    sealing: Callable[[], Sealing] | None = None
    key: SealingKey | None = None


_in_use = _InUse()


@contextmanager
def sealed_by(sealing: Callable[[], Sealing] | None) -> Iterator[None]:
    """Secrets that are written within are sealed by what `sealing()` gives; None: they are refused."""
    before, _in_use.sealing = _in_use.sealing, sealing
    try:
        yield
    finally:
        _in_use.sealing = before


@contextmanager
def opened_by(key: SealingKey | None) -> Iterator[None]:
    """Secrets that are read within are opened."""
    before, _in_use.key = _in_use.key, key
    try:
        yield
    finally:
        _in_use.key = before


def seal(state: dict[str, Any], kind: str, name: str) -> Any:
    """The tree of a secret's attributes under the present key. Raises `CodecError` where there is none."""
    from fanfold.codec.values import base64_text, encode_json

    if _in_use.sealing is None:
        raise refuse_secret(name)
    plain = encode_json({key: item for key, item in state.items() if key != "__orig_class__"}, name=name).encode()
    key = _in_use.sealing().key
    digest = hmac.digest(key.names, kind.encode() + b"\n" + plain, "sha256").hex()
    return {"$sealed": [kind, digest, key.label, base64_text(_cipher(key).encrypt(plain, [kind.encode()]))]}


def refuse_secret(name: str) -> CodecError:
    """The error for a secret where nothing seals it."""
    return CodecError(
        f"{name} is a secret, and only what a job is given is kept sealed, not what it gives back.",
        next_step="leave it out, or return its `get_secret_value()` where it is to be kept in plain.",
        instead="leave it out",
    )


def tag(value: Any, tagger: Tagger) -> Any:
    """The tree of a secret; None of what is none."""
    if type(value) is Sealed:
        return _sealed_again(value, tagger.where)
    kind = type(value)
    if kind.__module__ != "pydantic.types" or kind.__name__ not in _KINDS:
        return None
    return seal(vars(value), kind.__name__, tagger.where)


def tag_state(value: Any, name: str) -> Any:
    """The tree of the state of a secret whose class extends pydantic's."""
    return seal(vars(value), _STATE, name)


def _sealed_again(value: Sealed, where: str) -> Any:
    """What was read of a job, as it was written: for this job's key, or for no one's."""
    sealing = None if _in_use.sealing is None else _in_use.sealing()
    if sealing is None or value.kind == _STATE or value.label != sealing.label:
        raise CodecError(
            f"{where} is a secret of another job, which stays sealed.",
            next_step="pass the secret itself.",
            instead="pass the secret itself",
        )
    if not sealing.kept:
        _ = sealing.key  # the header is to keep how it is opened
    return {"$sealed": [value.kind, value.name, value.label, value.token]}


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """None: a secret is always a tag."""
    return None


def _untag(payload: list[Any]) -> Any:
    kind, name, label, token = payload
    if _in_use.key is None:
        return Sealed(kind, name, label, token)
    state = _opened(_in_use.key, kind, label, token)
    if kind == _STATE:
        return state
    import pydantic

    return getattr(pydantic, _KINDS[_KINDS.index(kind)])(state["_secret_value"])


def _opened(key: SealingKey, kind: str, label: str, token: str) -> dict[str, Any]:
    from binascii import a2b_base64

    from cryptography.exceptions import InvalidTag

    from fanfold.codec.values import decode_json

    try:
        plain = _cipher(key).decrypt(a2b_base64(token), [kind.encode()])
    except InvalidTag:
        how = "damaged" if label == key.label else "sealed with a key that is not here any more"
        raise CodecError(f"A secret argument is {how}.", next_step="submit the job again, with the secret.") from None
    state: dict[str, Any] = decode_json(plain.decode())
    return state


def _cipher(key: SealingKey) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ModuleNotFoundError as error:
        raise MissingPackage(
            "Sealing a secret needs cryptography, which is not installed.", next_step="`pip install cryptography`."
        ) from error
    return AESSIV(key.values)


def texts_of_secrets(text: str, key: SealingKey) -> list[str]:
    """The secret values in an encoded text that could be printed: what is to be hidden wherever its run says it."""
    found: list[str] = []
    for kind, _, label, token in _SEALED.findall(text):
        for value in _opened(key, kind, label, token).values():
            shown = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            found += [shown] if len(shown) >= SHORTEST else []
    return found


UNTAG = {"$sealed": _untag}
