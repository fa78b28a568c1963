"""Job folders: how volumes travel between a host and its worker, and how those of hosts that died are cleaned up."""

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from HierSynthLib.case import Role
from HierSynthLib.errors import OutputError
from HierSynthLib.volume import Volume, read_volume, write_volume

LOCK = "owner.lock"
"""A file that the owner keeps locked while it lives; the system releases the lock when the owner ends, however."""

YOUNG = 60.0
"""Seconds during which a folder is left alone, because its owner may not have locked it yet."""

_NAME = re.compile(r"hiersynth-job-[0-9a-f]{32}")


class JobFolder:
    """A new folder that belongs to this process, for the volumes of one job; use it as a context manager.

    Its name cannot be guessed and only its owner may enter it: it holds images of patients.

    Attributes:
        path: the folder.
        output: the folder in it for the worker's results.
    """

    def __init__(self, base: Path) -> None:
        """Create the folder under `base`, which is created where missing. Raises `OutputError`."""
        self.path = base.absolute() / f"hiersynth-job-{secrets.token_hex(16)}"
        self.output = self.path / "output"
        try:
            base.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _try_to_lock(self._lock)
        except OSError as error:
            raise OutputError(
                f"The job folder {self.path} cannot be created: {error.strerror}.", "Choose another temporary folder."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.remove()

    def input_path(self, role: Role) -> Path:
        """The .npy for the volume of a role, to be written by the owner; its folder need not exist yet."""
        return self.path / "input" / f"{role}.npy"

    def write_inputs(self, volumes: Mapping[Role, Volume]) -> dict[str, str]:
        """Write the volumes as .npy with their affine; return role → path as the job's "inputs" want them.

        Raises:
            OutputError: the disk is full or the folder cannot be written.
        """
        paths = {role: self.input_path(role) for role in volumes}
        for role, volume in volumes.items():
            write_volume(volume, paths[role])
        return {str(role): str(path) for role, path in paths.items()}

    def read_results(self, maps: Mapping[str, str]) -> dict[str, Volume]:
        """Read the volumes that the job's result names (name → path).

        Raises:
            InputError: one of them is missing or damaged.
        """
        return {name: read_volume(Path(path)) for name, path in maps.items()}

    def remove(self) -> None:
        """Remove the folder with all that is in it; does nothing when it is gone."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        shutil.rmtree(self.path, ignore_errors=True)


def remove_stale_folders(base: Path) -> list[Path]:
    """Remove the job folders under `base` whose owners are gone, and return them. Touches nothing else."""
    removed = []
    for folder in base.iterdir() if base.is_dir() else ():
        if _NAME.fullmatch(folder.name) and not folder.is_symlink() and folder.is_dir() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _is_abandoned(folder: Path) -> bool:
    lock = folder / LOCK
    with suppress(OSError):
        if lock.is_symlink() or time.time() - lock.stat().st_mtime < YOUNG:
            return False
        file = os.open(lock, os.O_RDWR)
        try:
            _try_to_lock(file)
        finally:
            os.close(file)
        return True
    return False


def _try_to_lock(file: int) -> None:
    """Lock an open file for as long as it is open; raises `OSError` when another process has locked it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
