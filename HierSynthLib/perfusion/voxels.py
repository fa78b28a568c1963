"""The voxels of a mask as rows, in the order in which they lie in memory, and back to volumes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.progress import Reporter

_REPORT_S = 0.25


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a mask.

    Attributes:
        grid: (I, J, K).
        order: "C" or "F", the order of the series in memory.
        flat: (N,) numbers of the voxels in that order.
    """

    grid: tuple[int, int, int]
    order: Literal["C", "F"]
    flat: NDArray[np.intp]

    @classmethod
    def of(cls, mask: NDArray[np.bool_], like: NDArray[Any]) -> Voxels:
        """The voxels of `mask` (I, J, K) in the order in memory of `like` (I, J, K, T)."""
        order: Literal["C", "F"] = "F" if like.flags.f_contiguous else "C"
        i, j, k = mask.shape
        return cls((i, j, k), order, np.flatnonzero(mask.ravel(order=order)))

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def indices(self) -> NDArray[np.intp]:
        """(N, 3) indices i, j, k."""
        return np.stack(np.unravel_index(self.flat, self.grid, order=self.order), axis=1)

    def rows(self, array: NDArray[Any], part: slice) -> NDArray[np.float32]:
        """(n, T) values of a part of the voxels in an (I, J, K, T) array."""
        flat, frames = self.flat[part], array.shape[3]
        if self.order == "F" and array.flags.f_contiguous:
            # Frame by frame, so that neighbours in memory are read together.
            columns = array.reshape(-1, frames, order="F").T[:, flat]
            return np.ascontiguousarray(columns.T, dtype=np.float32)
        if self.order == "C":
            return np.asarray(array.reshape(-1, frames)[flat], dtype=np.float32)
        i, j, k = np.unravel_index(flat, self.grid, order=self.order)
        return np.asarray(array[i, j, k], dtype=np.float32)

    def volume(self, values: NDArray[Any]) -> NDArray[Any]:
        """(I, J, K) with the (N,) values in the voxels, and 0 elsewhere."""
        array = np.zeros(self.grid, dtype=values.dtype, order=self.order)
        array.reshape(-1, order=self.order)[self.flat] = values
        return array


def in_parts(
    count: int, size: int, threads: int, work: Callable[[slice], None], stage: str, reporter: Reporter
) -> None:
    """Call `work` for parts of `count` rows, in several threads, reporting progress and heeding cancellation.

    The parts must write to places of their own. When one fails, or the reporter cancels, the rest is not begun.
    """
    parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        waiting = {pool.submit(work, part) for part in parts}
        try:
            while waiting:
                reporter.progress(stage, 1 - len(waiting) / len(parts))
                done, waiting = wait(waiting, timeout=_REPORT_S, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        finally:
            for future in waiting:
                future.cancel()
    reporter.progress(stage, 1.0)
