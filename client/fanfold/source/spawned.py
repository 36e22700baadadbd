"""The `__main__` of a process that a run's own multiprocessing spawns: the UDF's source, loaded anew.

Such a process is told by `__spec__` what its parent's `__main__` is (see `load`), imports that under the name
`__mp_main__`, and finds in it what it is to call.
"""

import os
import sys

from fanfold.contract.layout import ENV_SOURCE
from fanfold.source.load import Bundle, load


def _read(*path: str) -> bytes:
    with open(os.path.join(*path), "rb") as file:
        return file.read()


if __name__ == "__mp_main__" and ENV_SOURCE in os.environ:
    _bundle_file, _blobs = os.environ[ENV_SOURCE].split("\n")
    _bundle = Bundle.from_bytes(_read(_bundle_file))
    load(_bundle, get_blob=lambda sha256: _read(_blobs, sha256))()
    if _bundle.module == "__main__":
        for _name, _value in vars(sys.modules["__main__"]).items():
            globals().setdefault(_name, _value)
