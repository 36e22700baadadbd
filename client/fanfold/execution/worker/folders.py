"""The folders that a worker has for its runs' files: for temporary ones, to stand in, and for what it may keep.

They are below the system's temporary folder, not the pool's: sockets have paths of 108 characters at most, and
multiprocessing puts its own into TMPDIR.
"""

import os
import stat

#: In the worker's folder of the pool: leads to the folders.
_LINK = "own"


class RunFolders:
    """One worker's: `temporary` and `working` are empty for each run, `kept` is for what the worker's runs share."""

    def __init__(self, worker_folder: str) -> None:
        base = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  `tempfile` takes 10 ms to import
        self._root = os.path.join(base, f"fanfold-{os.urandom(6).hex()}")
        self.temporary, self.working, self.kept = (os.path.join(self._root, name) for name in ("tmp", "work", "kept"))
        os.mkdir(self._root, 0o700)
        os.symlink(self._root, os.path.join(worker_folder, _LINK))
        for folder in (self.temporary, self.working, self.kept):
            os.mkdir(folder, 0o700)
        self._stays: dict[str, set[str]] = {}

    def remember(self) -> None:
        """What is there now stays: loading the UDF has put it there."""
        self._stays = {folder: set(os.listdir(folder)) for folder in (self.temporary, self.working)}

    def empty(self) -> bool:
        """Remove what a run has left; False where something cannot be removed."""
        for folder, stays in self._stays.items():
            try:
                for name in set(os.listdir(folder)) - stays:
                    _remove(os.path.join(folder, name))
            except FileNotFoundError:  # the run has removed the folder itself
                os.makedirs(folder, 0o700, exist_ok=True)
            except OSError:
                return False
        return True


def remove_run_folders(worker_folder: str) -> None:
    """Remove the folders of a worker that has ended."""
    import shutil

    try:
        root = os.readlink(os.path.join(worker_folder, _LINK))
    except OSError:  # it had none
        return
    shutil.rmtree(root, ignore_errors=True)


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        import shutil

        shutil.rmtree(path)
    else:
        os.unlink(path)
