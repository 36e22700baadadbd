"""Where packages come from: pip's own settings, told to uv, and passwords, which never get further than that."""

from __future__ import annotations

import configparser
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fanfold.contract.records import NamedTuple

#: `//user:password@` of an address.
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


class Indexes(NamedTuple):
    """What pip goes by: its index, others beside it, folders of wheels, a file of certificates."""

    default: str = ""
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    certificates: str = ""

    @property
    def for_uv(self) -> dict[str, str]:
        """The same as variables of uv, which win over its own files; on a command line others would read them."""
        given = {
            "UV_DEFAULT_INDEX": self.default,
            "UV_INDEX": " ".join(self.extra),
            # As pip has it: the best version of all indexes. uv of itself stops at the first that has the package.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if self.extra else "",
            "UV_FIND_LINKS": ",".join(self.find_links),
            "SSL_CERT_FILE": self.certificates,
        }
        return {name: value for name, value in given.items() if value and name not in os.environ}

    def credentials(self, address: str) -> tuple[str, str] | None:
        """User and password for an address: of the index on the same host, or of the netrc file."""
        wanted = urlsplit(address)
        for index in (self.default, *self.extra, *self.find_links, *_uv_indexes()):
            known = urlsplit(index)
            if known.username and (known.hostname, known.port) == (wanted.hostname, wanted.port):
                return unquote(known.username), unquote(known.password or "")
        return _from_netrc(wanted.hostname or "")


def _uv_indexes() -> list[str]:
    given = [
        os.environ.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
    ]
    return [each.partition("=")[2] if re.match(r"[\w-]+=", each) else each for text in given for each in text.split()]


def _from_netrc(host: str) -> tuple[str, str] | None:
    import netrc

    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2]) if found is not None else None


def pip_indexes(environment: Mapping[str, str] = os.environ) -> Indexes:
    """What pip would go by here: its files, from the system's to this environment's, then `PIP_*`."""
    said: dict[str, str] = {}
    for path in _pip_files(environment):
        said.update(_read(path))
    for name in ("index-url", "extra-index-url", "find-links", "cert"):
        if value := environment.get(f"PIP_{name.replace('-', '_').upper()}"):
            said[name] = value
    return Indexes(
        said.get("index-url", ""),
        tuple(said.get("extra-index-url", "").split()),
        tuple(said.get("find-links", "").split()),
        said.get("cert", ""),
    )


def _pip_files(environment: Mapping[str, str]) -> list[Path]:
    """https://pip.pypa.io/en/stable/topics/configuration/"""
    given = environment.get("PIP_CONFIG_FILE", "")
    if given == os.devnull:
        return []
    home = Path.home()
    users = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    system = [Path(each) / "pip" / "pip.conf" for each in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [*system, Path("/etc/pip.conf"), home / ".pip" / "pip.conf", users, Path(sys.prefix) / "pip.conf"]
    return [*files, Path(given)] if given else files


def _read(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    sections = [parser[name] for name in ("global", "install") if name in parser]
    return {name: value for section in sections for name, value in section.items()}


def without_passwords(text: str) -> str:
    """The text with `***` in place of what stands before the `@` of an address."""
    return _CREDENTIALS.sub("***@", text)
