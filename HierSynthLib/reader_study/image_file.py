"""Images of a study for a reader's screen: opened at once, read in pieces, with a window that suits an anatomy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats import nifti
from HierSynthLib.worker.transfer import ArrayFile

WINDOW_PERCENTILES = (1.0, 99.5)
"""Of the values other than 0; what is darker or brighter is clipped on the screen (design value)."""

SAMPLE = 50_000
"""Values that the window is found from, so that it takes about a millisecond (design value)."""


def open_image(path: Path) -> ArrayFile:
    """An image of a study, whose values are still to be read.

    Raises:
        InputError: it is missing, damaged, or not as `create` writes images.
    """
    header = nifti.read_header(path)
    if header.scaled or not header.dtype.isnative or len(header.shape) != 3:
        raise InputError(f"{path.name} is not an image of this study.", "Restore the folder images from a copy.")
    return ArrayFile(path, header.shape, header.dtype, header.affine, "", True, header.offset)


def usual_window(values: NDArray[Any]) -> tuple[float, float]:
    """Lower and upper end of the grey values that suit an anatomy, from its values in any order and shape."""
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // SAMPLE)]
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, WINDOW_PERCENTILES))
    return low, high if high > low else low + 1.0
