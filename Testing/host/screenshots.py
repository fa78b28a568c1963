"""`python -m Testing.host.screenshots`: pictures of the panel for the README, in Resources/Screenshots/."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from PySide6.QtCore import QBuffer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from Testing.host import REPOSITORY, Host

FOLDER = REPOSITORY / "Resources" / "Screenshots"
LARGEST = 400_000
"""Bytes; the pictures are downloaded with the repository."""
COLORS = 256


def take(host: Host, name: str, widget: QWidget | None = None, folder: Path = FOLDER) -> Path:
    """Saves what the window, or one widget, shows.

    Args:
        host: The running host.
        name: Of the file, without ending.
        widget: What to show; without it the whole window.
        folder: Where to; made if missing.

    Returns:
        The file.

    Raises:
        ValueError: The picture is larger than a picture of the README may be.
    """
    host.wait(host.app.layoutManager().scheduler().is_idle)
    data = png(host.grab(widget))
    if len(data) > LARGEST:
        message = f"The picture {name} has {len(data)} bytes, more than {LARGEST}; show less of it."
        raise ValueError(message)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    path.write_bytes(data)
    return path


def png(image: QImage) -> bytes:
    """The smallest PNG of `image`, with at most 256 colours if all of them need too much space."""
    buffer = QBuffer()
    image.convertToFormat(QImage.Format.Format_RGB888).save(buffer, "PNG")
    picture = Image.open(io.BytesIO(buffer.data().data()))
    full = _compressed(picture)
    if len(full) <= LARGEST:
        return full
    return _compressed(picture.quantize(COLORS, dither=Image.Dither.NONE))


def _compressed(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main() -> int:
    """Takes all pictures."""
    host = Host.start(offscreen=True)
    host.open_module("HierSynth")
    take(host, "panel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
