"""Images of a study for a reader's screen: opened at once, read and checked in pieces, with a suitable window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from HierSynthLib.errors import InputError
from HierSynthLib.formats import nifti
from HierSynthLib.reader_study.checksums import image_digest
from HierSynthLib.reader_study.record.refusals import ImageError
from HierSynthLib.reader_study.study import Study
from HierSynthLib.worker.transfer import PIECE, ArrayFile

WINDOW_PERCENTILES = (1.0, 99.5)
"""Of the values other than 0; what is darker or brighter is clipped on the screen (design value)."""

SAMPLE = 50_000
"""Values that the window is found from, so that it takes about a millisecond (design value)."""


def open_image(path: Path) -> ArrayFile:
    """An image of a study, whose values are still to be read.

    Raises:
        ImageError: it is missing.
        InputError: it is damaged, or not as `create` writes images.
    """
    if not path.is_file():
        raise ImageError(path, missing=True)
    header = nifti.read_header(path)
    if header.scaled or not header.dtype.isnative or len(header.shape) != 3:
        raise InputError(f"{path.name} is not an image of this study.", "Restore the folder images from a copy.")
    return ArrayFile(path, header.shape, header.dtype, header.affine, "", True, header.offset)


def check_in_pieces(study: Study, image: str) -> Iterator[float]:
    """Compare an image with the checksum in study.json, a piece of at most 4 MiB at every step.

    Yields:
        The fraction that is done.

    Raises:
        ImageError: it is missing, or another one than was written.
    """
    path, state = study.image_file(image), image_digest(image)
    try:
        with path.open("rb", buffering=0) as file:
            size = path.stat().st_size
            while piece := file.read(PIECE):
                state.update(piece)
                yield min(1.0, file.tell() / size)
    except OSError as error:
        raise ImageError(path, missing=True) from error
    if study.checksums.get(image, state.hexdigest()) != state.hexdigest():
        raise ImageError(path, missing=False)


def usual_window(values: NDArray[Any]) -> tuple[float, float]:
    """Lower and upper end of the grey values that suit an anatomy, from its values in any order and shape."""
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // SAMPLE)]
    sample = sample[np.isfinite(sample) & (sample != 0)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, WINDOW_PERCENTILES))
    return low, high if high > low else low + 1.0
