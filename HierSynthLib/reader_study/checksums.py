"""Whether the images of a study are those that were written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from HierSynthLib.reader_study.record.refusals import ImageError
from HierSynthLib.reader_study.study import Presentation, Study

if TYPE_CHECKING:
    from hashlib import _Hash

_CHUNK = 1 << 20


def image_digest(image: str) -> _Hash:
    """The beginning of an image's checksum; updated with the bytes of the file it gives `Study.checksums`.

    The neutral id comes first, so that equal files of hidden duplicates have different checksums.
    """
    return hashlib.sha256(image.encode())


def image_checksum(image: str, path: Path) -> str:
    """SHA-256, hexadecimal, of the neutral id followed by the file.

    Raises:
        OSError: it cannot be read.
    """
    state = image_digest(image)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def require_there(study: Study, presentation: Presentation, position: int | None = None) -> None:
    """Raise `ImageError` when a file of a presentation is missing."""
    for path in study.files(presentation):
        if not path.is_file():
            raise ImageError(path, missing=True, position=position)


def require_intact(study: Study, presentation: Presentation, position: int | None = None) -> None:
    """Raise `ImageError` when a file of a presentation is missing or was changed; reads them all."""
    for image in (*presentation.images, *presentation.sources.values()):
        path = study.image_file(image)
        try:
            found = image_checksum(image, path)
        except OSError as error:
            raise ImageError(path, missing=True, position=position) from error
        if found != study.checksums.get(image, found):
            raise ImageError(path, missing=False, position=position)
