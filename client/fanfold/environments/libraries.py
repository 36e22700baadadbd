"""What a wheel's shared objects need of the system, read from their ELF headers.

A wheel brings most of what it links with. What it takes for granted (libGL for OpenCV's windows, libgomp for LightGBM)
a slim image may not have: that is said before anything starts, not by the first import in the cloud.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

#: What glibc brings.
_GLIBC = (
    "libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libcrypt.so.1 libnsl.so.1"
    " libanl.so.1 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1"
)
#: What the image's base has besides, with the two that the Dockerfile installs: libexpat1 and libgomp1.
_IMAGE = (
    "libstdc++.so.6 libgcc_s.so.1 libz.so.1 libexpat.so.1 libgomp.so.1 libssl.so.3 libcrypto.so.3 libffi.so.8"
    " libbz2.so.1.0 liblzma.so.5 libsqlite3.so.0 libuuid.so.1 libreadline.so.8 libncursesw.so.6 libtinfo.so.6"
    " libdb-5.3.so libgdbm.so.6 libnss_dns.so.2"
)
IMAGE_LIBRARIES = frozenset(f"{_GLIBC} {_IMAGE}".split())
#: Which package of Debian's has what wheels lack most often: for the setting `system_packages`.
_OF_DEBIAN = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libSM.so.6": "libsm6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libcairo.so.2": "libcairo2",
    "libpango-1.0.so.0": "libpango-1.0-0",
    "libmagic.so.1": "libmagic1",
    "libpq.so.5": "libpq5",
    "libsndfile.so.1": "libsndfile1",
    "libodbc.so.2": "unixodbc",
}

#: A package that does without, where there is one.
_INSTEAD = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
    "psycopg2": "psycopg2-binary",
}
#: Of a driver, which a machine with a processor of its kind has and no image.
_OF_DRIVERS = ("libcuda.so.1", "libnvidia-ml.so.1")

_SECTION = struct.Struct("<IIQQQQIIQQ")
_ENTRY = struct.Struct("<qQ")
_DYNAMIC, _NEEDED, _END = 6, 1, 0


def needed_libraries(data: bytes) -> list[str]:
    """The shared libraries that an ELF file of 64 bits names; none for any other file."""
    if data[:4] != b"\x7fELF" or data[4:5] != b"\x02":
        return []
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [_SECTION.unpack_from(data, table + number * size) for number in range(count)]
    for section in sections:
        if section[1] == _DYNAMIC:
            return list(_names(data, section, sections[section[6]][4]))
    return []


def _names(data: bytes, dynamic: tuple[int, ...], strings: int) -> Iterable[str]:
    for at in range(dynamic[4], dynamic[4] + dynamic[5], _ENTRY.size):
        tag, value = _ENTRY.unpack_from(data, at)
        if tag == _END:
            return
        if tag == _NEEDED:
            start = strings + value
            yield data[start : data.index(b"\0", start)].decode()


def libraries_in(listed: str) -> set[str]:
    """The names of the libraries that `ldconfig -p` lists."""
    lines = (line.strip().split(" (", 1) for line in listed.splitlines())
    return {line[0] for line in lines if len(line) == 2 and ".so" in line[0]}


def missing_libraries(
    needs: Mapping[str, Iterable[str]], brought: Iterable[str], has: Iterable[str] = IMAGE_LIBRARIES
) -> dict[str, list[str]]:
    """Of the libraries that packages need, those that neither a wheel brings nor the image `has`, by package."""
    there = {*has, *_GLIBC.split(), *brought, *_OF_DRIVERS}
    found = {package: sorted(set(names) - there) for package, names in needs.items()}
    return {package: names for package, names in found.items() if names}


def debian_packages(libraries: Iterable[str]) -> list[str]:
    """The packages of Debian's that have these libraries, where all are known; else none."""
    found = [_OF_DEBIAN.get(name, "") for name in libraries]
    return sorted(set(found)) if all(found) else []


def instead_of(package: str) -> str:
    """What does without a system library that this package needs; empty where nothing is known."""
    return _INSTEAD.get(package, "")
