"""Pictures for the README."""

import numpy as np
import pytest
from PIL import Image


def test_picture_shows_what_the_window_shows(host, tmp_path):
    from Testing.host.screenshots import LARGEST, take

    path = take(host, "window", folder=tmp_path / "Screenshots")
    assert path == tmp_path / "Screenshots" / "window.png"
    assert path.stat().st_size <= LARGEST
    grabbed = host.grab()
    with Image.open(path) as picture:
        assert picture.size == (grabbed.width(), grabbed.height())
        for x, y in ((5, 5), (800, 10), (1300, 200)):
            assert picture.convert("RGB").getpixel((x, y)) == grabbed.pixelColor(x, y).getRgb()[:3]


def test_picture_that_is_too_large_is_an_error(host, tmp_path):
    import qt

    from Testing.host.screenshots import take

    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 4), np.uint8)
    label = qt.QLabel()
    image = qt.QImage(noise.tobytes(), 1200, 900, qt.QImage.Format_RGB32)
    label.pixmap = qt.QPixmap.fromImage(image)
    label.resize(1200, 900)
    with pytest.raises(ValueError, match="noise"):
        take(host, "noise", label, tmp_path)
    assert not list(tmp_path.iterdir())
