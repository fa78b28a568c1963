"""The images of the presentations that a reader sees now and next, read and checked in steps."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from HierSynthLib.errors import HierSynthError
from HierSynthLib.reader_study.image_file import check_in_pieces, open_image, usual_window
from HierSynthLib.reader_study.study import Presentation, Study
from HierSynthPanel.steps import Steps


@dataclass(frozen=True)
class Shown:
    """An image in memory, not in the scene.

    Attributes:
        image: vtkImageData.
        affine: (4, 4) voxel index → RAS mm.
        window: grey values that suit an anatomy.
    """

    image: Any
    affine: np.ndarray
    window: tuple[float, float]


Images = dict[str, Shown]
"""Neutral id → image."""


class PresentationImages:
    """Keeps the images of a few presentations; those that are asked for are read one presentation after the other.

    Args:
        on_ready: called when those of the first presentation that was asked for are there.
        on_failed: called when one of them cannot be read.
    """

    def __init__(self, on_ready: Callable[[], None], on_failed: Callable[[HierSynthError], None]) -> None:
        self._on_ready, self._on_failed = on_ready, on_failed
        self._study: Study | None = None
        self._wanted: list[Presentation] = []
        self._kept: dict[str, Images] = {}
        self._failed: set[str] = set()
        self._reading = ""
        self._steps: Steps | None = None

    def open(self, study: Study) -> None:
        """Read images of this study from now on."""
        self.clear()
        self._study = study

    def get(self, presentation: Presentation) -> Images | None:
        """The images of a presentation by neutral id, or None while they are not all there."""
        return self._kept.get(presentation.id)

    def load(self, wanted: Sequence[Presentation]) -> None:
        """Read these presentations, the first at once and the others while there is time; forget all others."""
        self._wanted = list(wanted)
        names = {each.id for each in wanted}
        self._kept = {name: images for name, images in self._kept.items() if name in names}
        self._failed &= names
        if wanted and wanted[0].id in self._failed:
            self._failed.discard(wanted[0].id)
        # What is being read goes on when it comes first, or when nothing has to be waited for.
        first_is_there = not wanted or wanted[0].id in self._kept
        if self._steps is not None and not (
            self._reading in names and (first_is_there or self._reading == wanted[0].id)
        ):
            self._stop()
        if self._steps is None:
            self._read_next()

    def clear(self) -> None:
        """Stop reading, and forget everything."""
        self._stop()
        self._wanted, self._kept, self._failed = [], {}, set()

    def _read_next(self) -> None:
        there = self._kept.keys() | self._failed
        missing = next((each for each in self._wanted if each.id not in there), None)
        if missing is None:
            return
        images: Images = {}
        self._reading = missing.id
        self._steps = Steps(
            self._read(missing, images),
            lambda: self._on_read(missing, images),
            lambda error: self._fail(missing, error),
        )

    def _read(self, presentation: Presentation, images: Images) -> Iterator[float]:
        maps = set(presentation.images)
        for name in (*presentation.images, *presentation.sources.values()):
            images[name] = yield from read_image(self._study, name, is_map=name in maps)

    def _on_read(self, presentation: Presentation, images: Images) -> None:
        self._stop()
        self._kept[presentation.id] = images
        first = bool(self._wanted) and presentation.id == self._wanted[0].id
        self._read_next()
        if first:
            self._on_ready()

    def _fail(self, presentation: Presentation, error: HierSynthError) -> None:
        self._stop()
        self._failed.add(presentation.id)
        first = bool(self._wanted) and presentation.id == self._wanted[0].id
        self._read_next()
        # That an image of a later presentation is missing is told when its turn has come.
        if first:
            self._on_failed(error)

    def _stop(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        self._steps, self._reading = None, ""


def read_image(study: Study, name: str, *, is_map: bool) -> Generator[float, None, Shown]:
    """Read an image of a study, step by step; the generator's value is the image.

    Args:
        study: whose image it is.
        name: neutral id.
        is_map: whether the image is one of the maps, which are all shown in one range.

    Raises:
        ImageError: the file is missing, or is not the one that was written.
        InputError: it is cut off, or no image of a study.
    """
    file = open_image(study.image_file(name))
    yield 0.0
    scalars = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(file.dtype))
    scalars.SetNumberOfTuples(int(np.prod(file.shape)))
    values = vtk_to_numpy(scalars)
    yield from file.read_into(values)
    yield from check_in_pieces(study, name)
    window = (0.0, 1.0) if is_map else usual_window(values)
    yield 1.0
    image = vtk.vtkImageData()
    image.SetDimensions(*file.shape)
    image.GetPointData().SetScalars(scalars)
    return Shown(image, file.affine, window)
