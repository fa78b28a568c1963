"""Volumes as files for the worker, written again only when they have changed."""

from collections.abc import Callable, Generator, Hashable
from pathlib import Path

from HierSynthLib.volume import Volume
from HierSynthLib.worker.transfer import write_in_pieces


class VolumeFiles:
    """Keeps one file for each volume.

    Args:
        folder: where the files are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Hashable, tuple[Hashable, Path]] = {}
        self._used: set[Hashable] = set()
        self._number = 0

    def write(self, key: Hashable, stamp: Hashable, volume: Callable[[], Volume]) -> Generator[float, None, Path]:
        """Write a volume, step by step, unless that was done before; the generator's value is its file.

        Args:
            key: what the file belongs to.
            stamp: another one whenever the voxels or their place have changed.
            volume: called for what is written.

        Raises:
            OutputError: it cannot be written.
        """
        self._used.add(key)
        known = self._files.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        # A name of its own: whoever has read the old file must notice that this is another one.
        self._number += 1
        path = self._folder / f"{self._number}.npy"
        whole = volume()
        yield from write_in_pieces(whole.array, whole.affine, whole.units, path)
        if known is not None:
            _remove(known[1])
        self._files[key] = (stamp, path)
        return path

    def remove_unused(self) -> None:
        """Remove the files that nobody has asked for since the last call."""
        for key in [key for key in self._files if key not in self._used]:
            _remove(self._files.pop(key)[1])
        self._used.clear()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
